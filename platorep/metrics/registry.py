"""Metrics by name. A metric's module is imported when it is built, not before."""

from __future__ import annotations

import ast
import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from platorep.core.errors import SpecError, unknown_name
from platorep.metrics.base import Metric


def _declared() -> dict[str, str]:
    """Classes of this package that declare a name, as "module:Class" by name, without importing them."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_text(encoding="utf-8")
        if 'name: ClassVar[str] = "' in source:
            for node in ast.parse(source).body:
                if isinstance(node, ast.ClassDef) and (name := _name(node)):
                    found[name] = f"platorep.metrics.{path.stem}:{node.name}"
    return found


def _name(kind: ast.ClassDef) -> str | None:
    """The text that a class assigns to its annotated attribute `name`; None if it has none."""
    for node in kind.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "name":
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            return value if isinstance(value, str) else None
    return None


METRICS = _declared()
"""Name -> "module:Class". A metric is registered by its attribute `name: ClassVar[str] = "NAME"`."""


def metric_class(name: str) -> type[Metric]:
    """The class of a metric.

    Raises:
        UnknownNameError: no such metric, with the nearest names.
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    module, attribute = METRICS[name].split(":")
    return getattr(import_module(module), attribute)


def build(name: str, **params: Any) -> Metric:
    """The metric `name` with its parameters; those not given have their defaults.

    Raises:
        UnknownNameError: no such metric or parameter, with the nearest names.
        SpecError: a value that the parameter does not take.
    """
    kind = metric_class(name)
    known = {field.name: field for field in dataclasses.fields(kind)}
    for param, value in params.items():
        if param not in known:
            raise unknown_name(f"parameter of {name}", param, known)
        default = known[param].default
        if type(default) in (int, bool) and type(value) is not type(default):
            raise SpecError(
                f"{name}: {param} is {value!r}; "
                f"expected {'a whole number' if type(default) is int else 'true or false'}."
            )
    if params.get("similarity", "cosine") not in ("cosine", "euclidean"):
        raise SpecError(f"{name}: similarity is {params['similarity']!r}; expected 'cosine' or 'euclidean'.")
    return kind(**params)


def parse(text: str) -> Metric:
    """The metric of an id or a shorthand: "mutual_knn(k=10,similarity=cosine)", "mutual_knn(k=5)", "cka".

    Raises:
        SpecError: not of that form.
        UnknownNameError: as `build`.
    """
    match = re.fullmatch(r"\s*([a-z_0-9]+)\s*(?:\((.*)\))?\s*", text)
    if not match:
        raise SpecError(f"metric {text!r} is not of the form name or name(parameter=value,...).")
    params = {}
    for word in filter(None, (match[2] or "").split(",")):
        param, equals, value = word.partition("=")
        if not equals:
            raise SpecError(f"metric {text!r}: {word.strip()!r} is not of the form parameter=value.")
        params[param.strip()] = _value(value.strip())
    return build(match[1], **params)


def _value(word: str) -> Any:
    if word in ("True", "true", "False", "false"):
        return word.lower() == "true"
    if word in ("None", "null"):
        return None
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
