"""Where version 1 of this SDK had its types."""
