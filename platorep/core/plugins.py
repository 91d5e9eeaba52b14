"""Metrics and figures of the user's own: objects named by the path of their module."""

from __future__ import annotations

import hashlib
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from platorep.core.errors import SpecError, unknown_name


TARGET = "_target_"
"""Key of a configuration entry that names such an object, as in Hydra."""


def is_path(name: str) -> bool:
    """Whether a name is the path of an object, `module.name`, and not a name of ours."""
    return "." in name


def load_object(path: str) -> Any:
    """The object at `module.name`; the module is on Python's path or in the working directory.

    Raises:
        SpecError: there is no such module, or importing it failed.
        UnknownNameError: the module has no such name.
    """
    module_name, _, name = path.rpartition(".")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = import_module(module_name)
    except Exception as error:  # the module is the user's: anything may be raised
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise SpecError(
                f"{path}: no module {error.name} on Python's path or in {os.getcwd()}. "
                "Run from the folder that holds it, or add that folder to PYTHONPATH."
            ) from error
        raise SpecError(f"{path}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise unknown_name(f"name in {module_name}", name, [known for known in vars(module) if known[0] != "_"])
    return getattr(module, name)


def code_digest(thing: Any) -> str:
    """First 8 hex digits of the SHA-256 of the file that an object's module was read from."""
    path = sys.modules[thing.__module__].__file__
    return hashlib.sha256(Path(str(path)).read_bytes()).hexdigest()[:8]
