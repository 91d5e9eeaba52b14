"""Builds an `Experiment` from a resolved configuration. Only this module reads the configuration's mappings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from platorep.commands.checkpoints import entries
from platorep.commands.experiment import Experiment
from platorep.commands.options import (
    Basin,
    Captions,
    Gallery,
    Protocol,
    Statistics,
    Stitching,
    Style,
    Translation,
    Units,
)
from platorep.commands.recipes import Probe, Recipe, Variant
from platorep.core.errors import SpecError, unknown_name
from platorep.core.resources import Resources
from platorep.core.specs import CorpusSpec, DatasetSpec, ModelSpec, TaskSpec


READING = (
    "layers", "prompt", "span", "caption", "picture", "sound", "combine", "max_tokens", "overlong", "storage_dtype"
)  # fmt: skip
"""Configuration keys that are fields of ExtractSpec under the same name."""

LABELS = ("family", "upstream", "licence")
"""Fields of a model that describe it to people. They are never carried over to another model."""


def experiment(cfg: Mapping[str, Any], words: Sequence[str] = ()) -> Experiment:
    """The experiment that a configuration describes.

    Args:
        cfg: the resolved configuration as plain values; `platorep.cli.schema.Config` says what it holds.
        words: overrides of the command line, for the commands that the report prints.

    Raises:
        SpecError: an invalid value.
        UnknownNameError: a field or a model that does not exist, with the nearest names.
    """
    dataset = DatasetSpec.from_dict(cfg["dataset"])
    return Experiment(
        suite=cfg["suite"],
        models=tuple(model_specs(cfg)),
        dataset=dataset,
        reading=_reading({name: cfg[name] for name in READING}, cfg["generated"]),
        metric_options={name: options or {} for name, options in cfg["metric"].items()},
        protocol=Protocol(**cfg["protocol"]),
        statistics=Statistics(**cfg["statistics"]),
        resources=Resources.from_config(cfg["compute"], cfg["shard"]),
        root=Path(cfg["root"]),
        figures={name: options or {} for name, options in cfg["figure"].items()},
        corpus=CorpusSpec.from_dict(cfg["corpus"]) if cfg["corpus"] else None,
        probe=_probe(cfg["probe"]),
        score_files=tuple(Path(path).expanduser() for path in cfg["scores"]),
        gallery=Gallery(**cfg["gallery"]),
        units=Units(**cfg["units"]),
        translation=Translation(**cfg["translation"]),
        basin=Basin(**cfg["basin"]),
        stitching=Stitching(**cfg["stitching"]),
        style=Style(**cfg["style"]),
        captions=_captions(cfg["captions"], words),
        recipe=_recipe(cfg["recipe"], dataset, cfg["generated"]),
        simulations=_options("experiment", cfg["experiment"]),
        world=cfg["world"],
        overwrite=cfg["overwrite"],
        evict=cfg["evict"],
        words=tuple(words),
        configuration=json.dumps({k: v for k, v in cfg.items() if k != "root"}, indent=2, ensure_ascii=False),
    )


def model_specs(cfg: Mapping[str, Any]) -> list[ModelSpec]:
    """The suite's models with the settings that all models share, in the suite's order.

    An entry with `revisions` or `stops` is a model per checkpoint; its name in `only` stands for all of them.

    Raises:
        UnknownNameError: `only` names a model that the suite does not have.
        SpecError: an entry that is not a model, or an empty suite.
    """
    shared = {name: cfg[name] for name in ("dtype", "pool") if cfg[name] is not None}
    specs = {}
    listed = entries(cfg["models"])
    for name, entry in listed.items():
        if not isinstance(entry, dict):
            raise SpecError(f"models.{name} is {entry!r}; expected a mapping with modality, source and id.")
        if "source" not in entry and "id" not in entry:  # overrides of a model that is not in the suite
            raise unknown_name("model", name, [known for known, other in listed.items() if "source" in other])
        specs[name] = ModelSpec.from_dict({"name": name, **entry, **shared})
    if not specs:
        raise SpecError(
            "no models to run: the suite is empty. Choose one (suite=offline) or add one (models.mine.id=...)."
        )
    if cfg["only"]:
        only = cfg["only"]
        chosen = [str(name) for name in only] if isinstance(only, list) else str(only).split(",")
        names = {name: {name, spec.name, spec.trajectory or name} for name, spec in specs.items()}
        for name in chosen:
            if not any(name in also for also in names.values()):
                raise unknown_name("model", name, specs)
        specs = {name: spec for name, spec in specs.items() if names[name] & {*chosen}}
    return list(specs.values())


def _probe(cfg: Mapping[str, Any]) -> Probe | None:
    if not cfg:
        return None
    tasks = (TaskSpec.from_dict({"name": name, **entry}) for name, entry in cfg["tasks"].items())
    return Probe(cfg["name"], str(cfg["layer"]), tuple(tasks))


def _reading(settings: Mapping[str, Any], generated: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of reading, with how texts are continued where that matters."""
    if settings.get("span") != "generated":
        return dict(settings)
    return {**settings, "generated": {**generated, **settings.get("generated", {})}}


def _recipe(cfg: Mapping[str, Any], dataset: DatasetSpec, generated: Mapping[str, Any]) -> Recipe:
    """The recipe, with each variant's changes merged into the dataset's spec.

    Raises:
        UnknownNameError: a variant changes a setting that is not one of reading.
    """
    variants = {}
    for name, variant in cfg["variants"].items():
        spec = dataset
        if "dataset" in variant:
            spec = DatasetSpec.from_dict(_merged(dataset.to_dict(), variant["dataset"]) | {"name": name})
        for setting in (reading := variant.get("reading", {})):
            if setting not in (known := (*READING, "generated")):
                raise unknown_name(f"setting of recipe.variants.{name}.reading", setting, known)
        variant = {**variant, "reading": _reading(reading, generated)}
        variants[name] = Variant(spec, **{field: value for field, value in variant.items() if field != "dataset"})
    datasets = {name: DatasetSpec.from_dict(other) for name, other in cfg["datasets"].items()}
    return Recipe(cfg["name"], variants, cfg["shuffles"], tuple(cfg["galleries"]), datasets, cfg["study"], cfg["tests"])


def _captions(cfg: Mapping[str, Any], words: Sequence[str]) -> Captions:
    """Settings for summarising captions. Hydra merges a model in the overrides into the chosen one, field by field.

    Raises:
        SpecError: the overrides set only some fields of another model, which would be mixed with the chosen one.
    """
    model = dict(cfg["model"])
    changed = {field for word in words for field in _fields(word, "captions.model")}
    if changed & {"source", "id", "asset"}:
        unchanged = [name for name in ("name", "id", "asset") if model.get(name) is not None and name not in changed]
        if unchanged:
            raise SpecError(
                f"the overrides set {', '.join(sorted(changed))} of captions.model, but the chosen model would keep "
                f"its {' and '.join(unchanged)}. Set {' and '.join(f'captions.model.{name}' for name in unchanged)} "
                "too (asset=null for none), or choose another model (captions=NAME)."
            )
        model = {name: value for name, value in model.items() if name in changed or name not in LABELS}
    return Captions(**{**cfg, "model": model})


def _fields(word: str, place: str) -> list[str]:
    """The fields of a mapping that an override sets, either as `PLACE.id=x` or as `PLACE={id: x, asset: {...}}`."""
    key, _, value = word.lstrip("+").partition("=")
    if key.startswith(f"{place}."):
        return [key.removeprefix(f"{place}.").partition(".")[0]]
    if key != place:
        return []
    inner, nested = value.strip()[1:-1], 1
    while nested:
        inner, nested = re.subn(r"\{[^{}]*\}|\[[^\[\]]*\]", "", inner)
    return [part.partition(":")[0].strip().strip("'\"") for part in inner.split(",") if ":" in part]


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` updated by `changes`; nested mappings are merged."""
    merged = dict(values)
    for name, change in changes.items():
        old = merged.get(name)
        merged[name] = _merged(old, change) if isinstance(change, dict) and isinstance(old, dict) else change
    return merged


def _options(group: str, cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A mapping from names to options; None stands for no options.

    Raises:
        SpecError: options are not a mapping.
    """
    for name, options in cfg.items():
        if not isinstance(options or {}, dict):
            raise SpecError(f"{group}.{name} is {options!r}; expected its options, such as +{group}.{name}.seeds=20.")
    return {name: dict(options or {}) for name, options in cfg.items()}
