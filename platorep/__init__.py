"""platorep measures how alike neural networks represent the world."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from platorep.api import compare, load, score, score_layers

from platorep.core.version import __version__


__all__ = ["__version__", "compare", "load", "score", "score_layers"]


def __getattr__(name: str) -> Any:
    """Imports the functions for arrays on first use, so that `import platorep` loads no torch."""
    if name in __all__ and name != "__version__":
        return getattr(import_module("platorep.api"), name)
    raise AttributeError(f"module 'platorep' has no attribute {name!r}")
