"""Tables of which lists read only narrow ones.

Those of version 0001 are not altered: `keywordsai.server.rebuilding` makes the newest
tables at once, and moves the logs into them.
"""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Never run."""
    raise AssertionError
