"""Extraction: datasets through encoders into the feature store."""

from platorep.extract.engine import extract, is_whole


__all__ = ["extract", "is_whole"]
