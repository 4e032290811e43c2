"""All metadata is in setup.cfg; this file is what legacy tools look for."""

from setuptools import setup

setup()
