"""From a plain configuration to specs and engines: what every command shares.

Each stage reads what the stage before it left on disk. `align` and `plot` find features by what the configuration
says of a model and need neither the weights nor the Hub.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from platorep.core.errors import DataError, SpecError, StoreError, unknown_name
from platorep.core.files import slug
from platorep.core.resources import Resources
from platorep.core.results import AlignmentTable
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore, all_damaged


log = logging.getLogger(__name__)

EXTRACT_FIELDS = (
    "layers",
    "prompt",
    "span",
    "caption",
    "picture",
    "combine",
    "max_tokens",
    "overlong",
    "storage_dtype",
)
"""Configuration keys that are fields of ExtractSpec under the same name."""


@dataclass(frozen=True)
class Settings:
    """Where things are and how to compute; nothing here changes a result."""

    root: Path
    resources: Resources

    @cached_property
    def store(self) -> FeatureStore:
        """The features."""
        return FeatureStore(self.root / "features")

    @property
    def device(self) -> str:
        """Where to compute."""
        return self.resources.device

    @property
    def tokens(self) -> int | None:
        """Budget of a batch."""
        return self.resources.tokens

    @property
    def memory(self) -> int:
        """Bytes for features and prepared layers."""
        return self.resources.memory

    @property
    def shard(self) -> tuple[int, int]:
        """This run's share of the work."""
        return self.resources.shard

    def known_samples(self, dataset: DatasetSpec) -> Samples | None:
        """The samples that an earlier run stored for a resolved dataset: they spare decoding every picture again."""
        return self.store.known_samples(dataset)

    @classmethod
    def from_config(cls, cfg: dict[str, Any]) -> Settings:
        """Reads `compute`, `root` and `shard`."""
        return cls(root=Path(cfg["root"]), resources=Resources.from_config(cfg["compute"], cfg["shard"]))


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
        raise SpecError(
            "no models to run: the suite is empty. Choose one (suite=offline) or add one (+models.mine.id=...)."
        )
    if cfg["only"]:
        wanted = str(cfg["only"]).split(",")
        for name in wanted:
            if name not in made and name not in (spec.name for spec in made.values()):
                raise unknown_name("model", name, made)
        made = {name: spec for name, spec in made.items() if name in wanted or spec.name in wanted}
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
    sets, damaged = store.named(spec.model.name)
    fits = [features for features in sets if _fits(spec.identity(), features.spec.identity())]
    if not fits and damaged:
        raise StoreError(all_damaged(damaged))
    if not fits:
        raise StoreError(
            f"no features of {spec.model.name} on {spec.dataset.name} under {store.root} with these settings. "
            f"Run `platorep extract` with the same words first, or leave the model out of the suite (~models.NAME)."
        )
    if len(fits) > 1:
        keys = ", ".join(
            sorted(f"{one.key} (revision {one.spec.model.revision}, {one.spec.model.dtype})" for one in fits)
        )
        raise StoreError(
            f"{len(fits)} extractions of {spec.model.name} on {spec.dataset.name} fit: {keys}. "
            "Say which: set the model's revision and dtype, or remove one with `platorep store rm`."
        )
    return fits[0]


OPEN = {"revision": None, "asset": None, "dtype": "auto", "pool": "auto"}
"""Spec fields that are settled when features are made, with the value that leaves them open."""


def _fits(asked: Any, stored: Any) -> bool:
    """Whether every value that `asked` settles is the stored one."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        return asked.keys() == stored.keys() and all(
            (name in OPEN and value == OPEN[name]) or _fits(value, stored[name]) for name, value in asked.items()
        )
    return asked == stored


def stored(cfg: dict[str, Any], settings: Settings) -> list[FeatureSet]:
    """The stored features of the suite's models, in its order; models that are not extracted are named and left out.

    Raises:
        StoreError: none of them is extracted.
    """
    dataset, found, missing = dataset_spec(cfg), [], []
    for model in model_specs(cfg):
        spec = extract_spec(cfg, model, dataset)
        if any(settings.store.named(model.name)):
            found.append(find_features(settings.store, spec))
        else:
            missing.append(model.name)
    if not found:
        raise StoreError(
            f"none of the suite's models is extracted on {dataset.name} under {settings.store.root}. Run `platorep extract` first."
        )
    if missing:
        log.warning("not extracted, left out: %s", ", ".join(missing))
    return found


def present_keys(cfg: dict[str, Any], settings: Settings) -> dict[str, str | None]:
    """Key of each model's features under this configuration, in the suite's order; None where they are not stored.

    Raises:
        StoreError: several extractions of a model fit.
    """
    dataset, keys = dataset_spec(cfg), {}
    for model in model_specs(cfg):
        spec = extract_spec(cfg, model, dataset)
        stored_sets, _ = settings.store.named(model.name)
        fits = any(_fits(spec.identity(), features.spec.identity()) for features in stored_sets)
        keys[model.name] = find_features(settings.store, spec).key if fits else None
    return keys


def sides(features: list[FeatureSet], pairs: str) -> list[tuple[list[FeatureSet], list[FeatureSet], str]]:
    """The blocks of model pairs that `protocol.pairs` means, as (x models, y models, the engine's word for them).

    Raises:
        SpecError: an unknown word.
        DataError: "cross" without two modalities.
    """
    by_modality: dict[str, list[FeatureSet]] = {}
    for one in features:
        by_modality.setdefault(one.spec.model.modality, []).append(one)
    if pairs == "all":
        return [(features, features, "distinct")]
    if pairs == "within":
        return [(group, group, "distinct") for group in by_modality.values() if len(group) > 1]
    if pairs != "cross":
        raise SpecError(f"protocol.pairs is {pairs!r}; expected cross, within or all.")
    if len(by_modality) < 2:
        raise DataError(
            f"protocol.pairs=cross compares modalities, but all models are of {', '.join(by_modality)}. "
            "Add models of another modality, or say protocol.pairs=within."
        )
    # the released code's order: language down, vision across
    order = sorted(by_modality, key=lambda modality: (modality != "language", modality))
    return [(by_modality[a], by_modality[b], "all") for i, a in enumerate(order) for b in order[i + 1 :]]


def model_pairs(cfg: dict[str, Any], settings: Settings) -> list[tuple[FeatureSet, FeatureSet]]:
    """The pairs of stored models that `protocol.pairs` means, each once, and no model with itself."""
    blocks = sides(stored(cfg, settings), cfg["protocol"]["pairs"])
    return [
        (a, b)
        for x, y, kind in blocks
        for i, a in enumerate(x)
        for j, b in enumerate(y)
        if kind == "all" or (i < j and a.key != b.key)
    ]


def strata(kind: str | None, samples: Samples) -> Sequence[Any] | None:
    """One label a sample to relabel within: its category, or its bin of caption lengths in words.

    Raises:
        SpecError: an unknown kind.
        DataError: the dataset has no categories.
    """
    if kind is None:
        return None
    if kind == "category":
        if samples.categories is None:
            raise DataError(
                "statistics.strata=category needs a dataset whose samples have categories; this one has none."
            )
        return samples.categories
    if kind == "caption_length":
        from platorep.stats.permutations import quantile_bins

        return quantile_bins([len(captions[0].split()) for captions in samples.captions])
    raise SpecError(f"statistics.strata is {kind!r}; expected category, caption_length or null.")


def built_metrics(cfg: dict[str, Any]) -> list[Any]:
    """The configured metrics; a parameter that is a list stands for one metric a value, as in metric.cknna.k=[10,50]."""
    from platorep.metrics.registry import build

    made = []
    for name, options in cfg["metric"].items():
        values = [value if isinstance(value, list) else [value] for value in (options or {}).values()]
        made += [build(name, **dict(zip(options or {}, chosen, strict=True))) for chosen in itertools.product(*values)]
    return made


def alignment_folder(cfg: dict[str, Any], settings: Settings) -> Path:
    """Where the scores of the configured dataset are."""
    return settings.root / "alignment" / dataset_folder(cfg, settings)


def selection_path(cfg: dict[str, Any], settings: Settings) -> Path:
    """The file of the chosen layers' scores: its name holds a hash of all that determines them."""
    from platorep.metrics.preprocess import clip_id

    protocol = cfg["protocol"]
    what = {
        "version": 1,
        "models": [one.key for one in stored(cfg, settings)],
        "metrics": [metric.id for metric in built_metrics(cfg)],
        "clip": clip_id(protocol["clip"], protocol["quantile"]),
        **{name: protocol[name] for name in ("select", "pairs")},
        **cfg["statistics"],
    }
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    return alignment_folder(cfg, settings) / "selected" / f"{slug(run_name(cfg))}--{digest}.parquet"


def run_name(cfg: dict[str, Any]) -> str:
    """Suite and dataset, for file names of what covers both."""
    return f"{cfg['suite'] or 'models'}--{dataset_spec(cfg).name}"


def dataset_folder(cfg: dict[str, Any], settings: Settings) -> str:
    """Name of the stored dataset, "<name>--<key>", that fits the configured one.

    Raises:
        StoreError: none fits, or several do.
    """
    asked = dataset_spec(cfg)
    fits = []
    for folder, dataset in settings.store.datasets(asked.name):
        if _fits(asked.identity(), dataset.identity()):
            fits.append(folder.name)
    if len(fits) == 1:
        return fits[0]
    if not fits:
        raise StoreError(
            f"no samples of {asked.name} under {settings.store.root} with these settings. Run `platorep extract` first."
        )
    raise StoreError(f"several stored datasets fit {asked.name}: {', '.join(fits)}. Say which by dataset.revision.")


def stored_alignment(cfg: dict[str, Any], settings: Settings) -> AlignmentTable:
    """The scores on disk of the suite's models under the configured metrics and clipping rule.

    Raises:
        StoreError: there are none.
    """
    from platorep.metrics.preprocess import clip_id

    folder = alignment_folder(cfg, settings)
    parts = sorted(path for path in folder.glob("*.parquet") if not path.name.endswith(".samples.parquet"))
    if not parts:
        raise StoreError(f"no scores under {folder}. Run `platorep align` with the same words first.")
    frame = AlignmentTable.load(parts).frame
    keys = present_keys(cfg, settings)
    metrics = [metric.id for metric in built_metrics(cfg)]
    clip = clip_id(cfg["protocol"]["clip"], cfg["protocol"]["quantile"])
    chosen = AlignmentTable(frame[frame.metric.isin(metrics) & (frame["clip"] == clip)]).of_models(keys).frame
    if chosen.empty:
        raise StoreError(
            f"no scores of this suite by {', '.join(metrics)} with clip {clip} under {folder}. Run `platorep align` first."
        )
    order = {name: place for place, name in enumerate(keys)}
    rows = chosen.assign(_x=chosen.x_model.map(order), _y=chosen.y_model.map(order))
    rows = rows.sort_values(["metric", "_x", "_y"], kind="stable").drop(columns=["_x", "_y"])
    return AlignmentTable.from_frame(rows)
