"""Extraction: datasets through encoders into the feature store."""

from platorep.extract.engine import extract


__all__ = ["extract"]
