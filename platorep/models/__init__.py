"""Encoders: a small common interface to models, with all layers pooled on the device."""

from platorep.models.ahead import read_ahead
from platorep.models.base import Encoded, Encoder, Text, TextRules, Tokens, is_lexical
from platorep.models.evicting import evict
from platorep.models.loading import load
from platorep.models.resolving import resolve


__all__ = [
    "Encoded",
    "Encoder",
    "Text",
    "TextRules",
    "Tokens",
    "evict",
    "is_lexical",
    "load",
    "read_ahead",
    "resolve",
]
