"""platorep measures how alike neural networks represent the world."""

__version__ = "0.1.0"
