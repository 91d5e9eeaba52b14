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
from pathlib import Path
from typing import Any

from platorep.core.errors import DataError, SpecError, StoreError, unknown_name
from platorep.core.files import read_json, slug
from platorep.core.matching import matching
from platorep.core.results import AlignmentTable
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.progress import bar


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
    """How to compute and where things are; nothing here changes a result."""

    root: Path
    device: str
    tokens: int | None
    workers: int | None
    shard_rows: int
    compile: bool
    memory: int
    shard: tuple[int, int]

    @property
    def store(self) -> FeatureStore:
        """The features."""
        return FeatureStore(self.root / "features")

    def known_samples(self, dataset: DatasetSpec) -> Samples | None:
        """The samples that an earlier run stored for a resolved dataset: they spare decoding every picture again."""
        found = sorted(self.store.root.glob(f"*--{dataset.key()}/samples.json"))  # whatever the dataset is called
        return self.store.read_samples(found[0].parent) if found else None

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
            compile=compute["compile"],
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
        if "source" not in entry and "id" not in entry:  # words about a model that is not in the suite
            raise unknown_name("model", name, [known for known, other in cfg["models"].items() if "source" in other])
        made[name] = ModelSpec.from_dict({"name": name, **entry, **shared})
    if not made:
        raise SpecError(
            "no models to run: the suite is empty. Choose one (suite=offline) or add one (models.mine.id=...)."
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


def settle_dataset(cfg: dict[str, Any], root: Path, *, fetching: bool) -> dict[str, Any]:
    """The configuration with the dataset that this run takes: the one asked for, or the one that stands in for it."""
    from platorep.config import named_dataset
    from platorep.data.instead import pairs_at_hand

    def stored(spec: DatasetSpec) -> bool:
        files = (root / "features").glob(f"{slug(spec.name)}--*/samples.json")
        specs = {str(path): DatasetSpec.from_dict(read_json(path)["spec"]) for path in files}
        return bool(matching(spec, specs, lambda _: None))  # packaged pairs are on no branch

    with bar("Looking for the pairs") as report:
        spec = pairs_at_hand(dataset_spec(cfg), named_dataset, stored=stored, fetching=fetching, progress=report)
    return cfg if spec == dataset_spec(cfg) else {**cfg, "dataset": spec.to_dict()}


def extract_spec(cfg: dict[str, Any], model: ModelSpec, dataset: DatasetSpec) -> ExtractSpec:
    """What extraction of one model means under this configuration."""
    return ExtractSpec.from_dict({"model": model, "dataset": dataset, **{name: cfg[name] for name in EXTRACT_FIELDS}})


def find_features(store: FeatureStore, spec: ExtractSpec) -> FeatureSet:
    """The stored features that fit a spec which may not be resolved (see `platorep.core.matching`).

    Raises:
        StoreError: none fits, or several do, or the branch that the spec names has moved since they were made.
    """
    stored = {features.path.name: features for features in store.find(f"*/{spec.model.name}--*")}
    fits = [stored[name] for name in matching(spec, {name: one.spec for name, one in stored.items()}, commit_of)]
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


def commit_of(spec: ModelSpec | DatasetSpec) -> str | None:
    """The commit that a spec's branch or tag stands for now, by the Hub or its cache; None where neither tells."""
    from platorep.assets.hub import known_commit

    if isinstance(spec, DatasetSpec):
        on_hub = spec.source == "hub" and not Path(spec.id).expanduser().is_dir()
        return known_commit(spec.id, spec.revision, repo_type="dataset") if on_hub else None
    if spec.asset is not None or spec.source not in ("transformers", "timm", "open_clip"):
        return None
    from platorep.models.resolving import hub_id

    return known_commit(hub_id(spec), spec.revision)


def stored(cfg: dict[str, Any], settings: Settings) -> list[FeatureSet]:
    """The stored features of the suite's models, in its order; models that are not extracted are named and left out.

    Raises:
        StoreError: none of them is extracted.
    """
    dataset, found, missing = dataset_spec(cfg), [], []
    for model in model_specs(cfg):
        spec = extract_spec(cfg, model, dataset)
        if any(settings.store.find(f"*/{slug(model.name)}--*")):
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
    paths = sorted(settings.store.root.glob(f"{slug(asked.name)}--*/samples.json"))
    specs = {path.parent.name: DatasetSpec.from_dict(read_json(path)["spec"]) for path in paths}
    fits = matching(asked, specs, commit_of)
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
    names = [spec.name for spec in model_specs(cfg)]
    metrics = [metric.id for metric in built_metrics(cfg)]
    clip = clip_id(cfg["protocol"]["clip"], cfg["protocol"]["quantile"])
    chosen = frame[
        frame.x_model.isin(names) & frame.y_model.isin(names) & frame.metric.isin(metrics) & (frame["clip"] == clip)
    ]
    if chosen.empty:
        raise StoreError(
            f"no scores of this suite by {', '.join(metrics)} with clip {clip} under {folder}. Run `platorep align` first."
        )
    order = {name: place for place, name in enumerate(names)}
    rows = chosen.assign(_x=chosen.x_model.map(order), _y=chosen.y_model.map(order))
    rows = rows.sort_values(["metric", "_x", "_y"], kind="stable").drop(columns=["_x", "_y"])
    return AlignmentTable.from_frame(rows)
