"""Metrics by name. The module of a metric is imported when the metric is built."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from platorep.core.errors import SpecError, unknown_name
from platorep.core.plugins import TARGET, code_digest, is_path, load_object
from platorep.metrics.base import Metric
from platorep.metrics.ties import TieRule


def _declared() -> dict[str, str]:
    """Classes of this package that declare a name, as "module:Class" by name.

    Read from the text: importing the modules takes seconds, parsing them as Python a hundred times as long as this.
    """
    classes = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for body in path.read_text(encoding="utf-8").split("\nclass ")[1:]:
            if declaration := re.search(r'^    name: ClassVar\[str\] = "(\w+)"$', body, re.MULTILINE):
                kind = re.split(r"\W", body, maxsplit=1)[0]
                classes[declaration[1]] = f"platorep.metrics.{path.stem}:{kind}"
    return classes


METRICS = _declared()
"""Name -> "module:Class". A metric is registered by its attribute `name: ClassVar[str] = "NAME"`."""


def metric_class(name: str) -> type[Metric]:
    """The class of a metric: a name of `METRICS`, or the path of a class of the user, `module.Class`.

    Raises:
        UnknownNameError: no such metric, with the nearest names.
        SpecError: a path that leads to no metric.
    """
    if is_path(name):
        return _own_class(name)
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS)
    module, attribute = METRICS[name].split(":")
    return getattr(import_module(module), attribute)


def _own_class(path: str) -> type[Metric]:
    kind = load_object(path)
    if not (isinstance(kind, type) and issubclass(kind, Metric)):
        raise SpecError(f"{path} is no metric; expected a subclass of platorep.metrics.base.Metric.")
    if missing := sorted(kind.__abstractmethods__):
        raise SpecError(f"{path} lacks {', '.join(missing)}: what a Metric must have.")
    for attribute in ("name", "title"):
        if not isinstance(getattr(kind, attribute, None), str):
            raise SpecError(f"{path} has no {attribute}; add {attribute}: ClassVar[str] = '...' to the class.")
    if not re.fullmatch("[a-z_0-9]+", kind.name) or kind.name in METRICS:
        raise SpecError(
            f"{path} has the name {kind.name!r}; expected lower-case letters, digits and _, and no name of platorep's."
        )
    kind.code = code_digest(kind)
    return kind


def build(name: str, /, **params: Any) -> Metric:
    """The metric of a name, or of a path `module.Class`, with its parameters; those not given have their defaults.

    Raises:
        UnknownNameError: no such metric or parameter, with the nearest names.
        SpecError: a value that the parameter does not take, or a path that leads to no metric.
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


def build_all(configured: Mapping[str, Mapping[str, Any]], ties: TieRule) -> list[Metric]:
    """The metrics of a configuration: a list as a parameter's value stands for one metric per value.

    Args:
        configured: parameters by name; `_target_` among them is the path of a class of the user.
        ties: rule for equally near samples where the parameters name none.

    Raises:
        UnknownNameError: as `build`.
        SpecError: as `build`.
    """
    metrics = []
    for key, entry in configured.items():
        params = {name: value for name, value in entry.items() if name != TARGET}
        values = [value if isinstance(value, list) else [value] for value in params.values()]
        for chosen in itertools.product(*values):
            metric = build(entry.get(TARGET, key), **dict(zip(params, chosen, strict=True)))
            metrics.append(metric if "ties" in params else metric.with_ties(ties))
    return metrics


def parse(text: str) -> Metric:
    """The metric of an id or a shorthand: "mutual_knn(k=10,similarity=cosine)", "mutual_knn(k=5)", "cka".

    Raises:
        SpecError: not of that form.
        UnknownNameError: as `build`.
    """
    match = re.fullmatch(r"\s*([a-z_0-9]+|[\w.]+\.\w+)\s*(?:\((.*)\))?\s*", text)
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
