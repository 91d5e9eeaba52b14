"""From a plain configuration to specs and engines: what every command shares.

Each stage reads what the stage before it left on disk. `align` and `plot` find features by what the configuration
says of a model and need neither the weights nor the Hub.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platorep.core.errors import PlatorepError, SpecError, StoreError, unknown_name
from platorep.core.results import AlignmentTable, CompetenceTable
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore, Samples


log = logging.getLogger(__name__)

EXTRACT_FIELDS = ("layers", "prompt", "span", "caption", "combine", "max_tokens", "overlong", "storage_dtype")
"""Configuration keys that are fields of ExtractSpec under the same name."""


@dataclass(frozen=True)
class Settings:
    """How to compute and where things are; nothing here changes a result."""

    root: Path
    device: str
    tokens: int | None
    workers: int | None
    shard_rows: int
    memory: int
    shard: tuple[int, int]

    @property
    def store(self) -> FeatureStore:
        """The features."""
        return FeatureStore(self.root / "features")

    @classmethod
    def from_config(cls, cfg: dict[str, Any]) -> Settings:
        """Reads `compute`, `root` and `shard`; sets torch's threads when told to."""
        compute = cfg["compute"]
        if compute["threads"]:
            import torch

            torch.set_num_threads(compute["threads"])
        return cls(
            root=Path(cfg["root"]),
            device=compute["device"],
            tokens=compute["tokens"],
            workers=compute["workers"],
            shard_rows=compute["shard_rows"],
            memory=parse_bytes(compute["memory"]),
            shard=parse_shard(cfg["shard"]),
        )


def parse_bytes(text: str | int) -> int:
    """Bytes of "3GB", "512MB" or a plain number (decimal units).

    Raises:
        SpecError: it is none of them.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    value = str(text).strip().upper()
    for unit, size in units.items():
        if value.endswith(unit):
            value, factor = value.removesuffix(unit).strip(), size
            break
    else:
        factor = 1
    try:
        found = int(float(value) * factor)
    except ValueError:
        found = 0
    if found <= 0:
        raise SpecError(f"compute.memory is {text!r}; expected a size such as 3GB or 512MB.")
    return found


def parse_shard(text: str | None) -> tuple[int, int]:
    """(i, m) of "i/m", (0, 1) for None.

    Raises:
        SpecError: it is not i/m with 0 <= i < m.
    """
    if text is None:
        return 0, 1
    try:
        index, count = (int(part) for part in str(text).split("/"))
    except ValueError:
        index, count = -1, 0
    if not 0 <= index < count:
        raise SpecError(f"shard is {text!r}; expected i/m with 0 <= i < m, such as 0/8.")
    return index, count


def model_specs(cfg: dict[str, Any]) -> list[ModelSpec]:
    """The suite's models with what the command line says of all of them, in the suite's order.

    Raises:
        UnknownNameError: `only` names a model that the suite does not have.
        SpecError: a model's entry is not a model.
    """
    shared = {name: cfg[name] for name in ("dtype", "pool") if cfg[name] is not None}
    made = {}
    for name, entry in cfg["models"].items():
        if not isinstance(entry, dict):
            raise SpecError(f"models.{name} is {entry!r}; expected a mapping with modality, source and id.")
        made[name] = ModelSpec.from_dict({"name": name, **entry, **shared})
    if not made:
        raise SpecError("no models to run: the suite is empty. Choose one (suite=offline) or add one (+models.mine.id=...).")
    if cfg["only"]:
        wanted = str(cfg["only"]).split(",")
        for name in wanted:
            if name not in made:
                raise unknown_name("model", name, made)
        made = {name: made[name] for name in made if name in wanted}
    return list(made.values())


def dataset_spec(cfg: dict[str, Any]) -> DatasetSpec:
    """The dataset as configured, not resolved."""
    return DatasetSpec.from_dict(cfg["dataset"])


def extract_spec(cfg: dict[str, Any], model: ModelSpec, dataset: DatasetSpec) -> ExtractSpec:
    """What extraction of one model means under this configuration."""
    return ExtractSpec.from_dict({"model": model, "dataset": dataset, **{name: cfg[name] for name in EXTRACT_FIELDS}})


def find_features(store: FeatureStore, spec: ExtractSpec) -> FeatureSet:
    """The stored features that fit a spec which may not be resolved: what it leaves open (`OPEN`), the stored one may fill.

    Raises:
        StoreError: none fits, or several do.
    """
    fits = [found for found in store.find(f"*/{spec.model.name}--*") if _fits(spec.identity(), found.spec.identity())]
    if not fits:
        raise StoreError(
            f"no features of {spec.model.name} on {spec.dataset.name} under {store.root} with these settings. "
            f"Run `platorep extract` with the same words first, or leave the model out (~models.{spec.model.name})."
        )
    if len(fits) > 1:
        keys = ", ".join(sorted(f"{one.key} (revision {one.spec.model.revision}, {one.spec.model.dtype})" for one in fits))
        raise StoreError(
            f"{len(fits)} extractions of {spec.model.name} on {spec.dataset.name} fit: {keys}. "
            "Say which: set the model's revision and dtype, or remove one with `platorep store rm`."
        )
    return fits[0]


OPEN = {"revision": None, "dtype": "auto", "pool": "auto"}
"""Spec fields that are settled when features are made, with the value that leaves them open."""


def _fits(asked: Any, stored: Any) -> bool:
    """Whether every value that `asked` settles is the stored one."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return asked.keys() == stored.keys() and all(
            (name in OPEN and value == OPEN[name]) or _fits(value, stored[name]) for name, value in asked.items()
        )
    return asked == stored
