"""What the command line can set: the typed schema, its registration, and where the configuration files are.

The mappings named in `OPEN` take any key, so that `models.gpt2.revision=...` works whether or not a configuration file
names the key; the specs in `core.specs` and the registries check them, and answer a wrong name with the nearest ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from platorep.core.specs import DatasetSpec


OPEN = ("models", "dataset", "metric", "figure", "corpus", "probe")
"""Keys of `Config` whose mappings take new keys without Hydra's `+`: a spec or a registry checks what is in them."""


@dataclass
class Compute:
    """How to compute, never what: nothing here is part of a key, and results do not depend on it."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1
    threads: int | None = None  # CPU threads of torch; null leaves torch's choice
    tokens: int | None = None  # tokens (or picture patches) a batch; null finds the budget
    workers: int | None = None  # processes that decode pictures; null: one a core, at most 8
    shard_rows: int = 256  # samples a stored shard: what a kill loses at most
    compile: bool = False  # torch.compile of a model's blocks, for long extractions on a GPU
    memory: str = "3GB"  # budget of `align` for prepared layers


@dataclass
class Protocol:
    """How layers become one score."""

    name: str = "prh"
    clip: str = "exact"  # exact | approximate | none: clamp at the quantile of |features| once a model
    quantile: float = 0.95
    select: str = "max"  # max | heldout | last | depth:0.5
    pairs: str = "cross"  # cross: language against vision; within: pairs of one modality; all: every pair once


@dataclass
class Statistics:
    """Nulls and intervals beside the scores."""

    permutations: int = 200  # relabellings of the null of the chosen layers; 0 leaves it out
    strata: str | None = None  # null | category | caption_length: relabel only within
    seed: int = 0


@dataclass
class Recipe:
    """What an experiment of `platorep reproduce` is, beside the stages' settings: configs/reproduce/NAME.yaml."""

    name: str = ""
    variants: dict[str, Any] = field(
        default_factory=dict
    )  # name -> changes of the dataset that concern its captions only
    shuffles: int = 0  # seeds of the shuffled pairs; 0 scores the pairs as they are
    galleries: list[int] = field(default_factory=list)  # the first metric is also scored on n random samples, nested


@dataclass
class Gallery:
    """`platorep gallery`: the same queries, searched in growing galleries."""

    sizes: list[int] = field(default_factory=lambda: [1024, 4096, 16384])  # each gallery holds the one before it
    queries: int = 1024  # the first samples of every gallery
    share: float | None = 0.01  # beside the metric's own k: k as this share of the gallery; null leaves it out
    seed: int = 0  # of the samples' order
    search: str = "exact"  # exact | faiss: approximate, by the extra platorep[faiss]


@dataclass
class Captions:
    """`platorep captions`: which model summarises the dataset's captions, and how."""

    model: dict[str, Any] = field(default_factory=dict)  # a model as in a suite, with its name
    words: list[int] = field(default_factory=lambda: [5, 10, 20, 30])
    batch: int = 8
    temperature: float = 0.0  # 0 is greedy
    seed: int = 0


@dataclass
class Config:
    """One schema for every command: a stage reads the part that concerns it and ignores the rest."""

    models: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)
    figure: dict[str, Any] = field(default_factory=dict)
    corpus: dict[str, Any] = field(
        default_factory=dict
    )  # documents for bits per byte; empty: as extraction measured the captions
    probe: dict[str, Any] = field(default_factory=dict)  # tasks for linear probes
    scores: list[str] = field(default_factory=list)  # files of downstream scores: lm-evaluation-harness JSON, or CSV
    protocol: Protocol = field(default_factory=Protocol)
    statistics: Statistics = field(default_factory=Statistics)
    compute: Compute = field(default_factory=Compute)
    recipe: Recipe = field(default_factory=Recipe)
    gallery: Gallery = field(default_factory=Gallery)
    captions: Captions = field(default_factory=Captions)
    suite: str = ""  # the suite's name, for titles and file names
    root: str = "outputs"
    # what every model of the run shares; null leaves each model's own
    dtype: str | None = None
    pool: str | None = None
    layers: str = "all"
    prompt: str | None = None
    span: str = "all"
    caption: str = "first"
    picture: str = "first"
    combine: str = "mean_features"
    max_tokens: int | None = None
    overlong: str = "truncate"
    storage_dtype: str = "float32"
    shard: str | None = (
        None  # i/m: the i-th of m shares of the work: stored shards, pairs of models, or queries of a gallery
    )
    only: str | None = None  # one model of the suite, or several: only='"a,b"' (Hydra takes bare commas for a sweep)
    evict: bool = False  # remove downloaded weights after use
    overwrite: bool = False  # make again what is there
    # one command's own
    what: str = "suites"  # ls: which list
    json: bool = False  # doctor: one JSON object instead of tables
    experiment: dict[str, Any] = field(default_factory=dict)  # simulate: name -> options of its function
    world: dict[str, Any] = field(default_factory=dict)  # simulate: name and parameters; empty: the experiment's own


def register() -> None:
    """Registers the schema and the resolver `platorep.names` with Hydra; calling it again changes nothing."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    # the keys of a mapping joined by commas: what a sweep over the models of a suite runs through
    OmegaConf.register_new_resolver("platorep.names", lambda models: ",".join(models), replace=True)

    schema = OmegaConf.structured(Config)
    for name in OPEN:
        OmegaConf.set_struct(schema[name], False)
    ConfigStore.instance().store(name="schema", node=schema)


def config_dir() -> Path:
    """The configuration files: inside the installed package, else beside the package in a checkout."""
    packaged = Path(__file__).resolve().parent / "configs"
    return packaged if packaged.is_dir() else packaged.parent.parent / "configs"


def named_dataset(name: str) -> DatasetSpec:
    """The dataset of a configuration's name, without what a command line says of it.

    Raises:
        UnknownNameError: there is none, with the nearest names.
    """
    from omegaconf import OmegaConf

    from platorep.core.errors import unknown_name
    from platorep.core.specs import DatasetSpec

    path = config_dir() / "dataset" / f"{name}.yaml"
    if not path.is_file():
        raise unknown_name("dataset", name, (other.stem for other in path.parent.glob("*.yaml")))
    return DatasetSpec.from_dict(OmegaConf.to_container(OmegaConf.load(path), resolve=True))
