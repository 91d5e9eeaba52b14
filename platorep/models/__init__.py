"""Encoders: a small common interface to models. All layers are pooled on the device."""

from platorep.models.ahead import read_ahead
from platorep.models.base import Encoded, Encoder, Text, TextRules, Tokens
from platorep.models.evicting import evict
from platorep.models.resolving import resolve
from platorep.models.sources import load, source_of


__all__ = [
    "Encoded",
    "Encoder",
    "Text",
    "TextRules",
    "Tokens",
    "evict",
    "load",
    "read_ahead",
    "resolve",
    "source_of",
]
