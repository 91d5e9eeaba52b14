"""The typed schema of all settings, its registration, and the path of the configuration files.

The mappings named in `OPEN` take any key, so that `models.gpt2.revision=...` works whether or not a configuration file
names the key. The specs in `core.specs` and the registries check them, and suggest the nearest names for a wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from platorep.commands.options import (
    Basin,
    Captions,
    Compute,
    Gallery,
    Neighbours,
    Protocol,
    Statistics,
    Stitching,
    Style,
    Translation,
    Units,
)
from platorep.commands.pairs import config_dir as config_dir
from platorep.core.plugins import TARGET


OPEN = ("models", "dataset", "metric", "figure", "corpus", "probe")
"""Keys of `Config` whose mappings take new keys without Hydra's `+`: a spec or a registry checks their content."""


@dataclass
class Recipe:
    """Settings of `platorep reproduce` in addition to those of the stages: configs/reproduce/NAME.yaml."""

    name: str = ""
    variants: dict[str, Any] = field(
        default_factory=dict
    )  # name -> changes to the dataset that affect its captions only
    shuffles: int = 0  # number of seeds for shuffled pairs; 0 scores the intact pairs
    galleries: list[int] = field(default_factory=list)  # nested random samples of these sizes are scored too
    datasets: dict[str, Any] = field(default_factory=dict)  # name -> another dataset on which the pairs are also scored
    study: dict[str, Any] = field(default_factory=dict)  # options of an experiment with a table of its own
    tests: bool = False  # nulls and intervals of the scores that the figure shows


@dataclass
class Generated:
    """How span=generated continues a text."""

    tokens: int = 32
    temperature: float = 0.0  # 0 takes the likeliest token
    seed: int = 0  # of the draws at other temperatures


@dataclass
class Config:
    """One schema for every command: a stage reads the part that it needs and ignores the rest."""

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
    units: Units = field(default_factory=Units)
    translation: Translation = field(default_factory=Translation)
    basin: Basin = field(default_factory=Basin)
    stitching: Stitching = field(default_factory=Stitching)
    style: Style = field(default_factory=Style)
    captions: Captions = field(default_factory=Captions)
    suite: str = ""  # the suite's name, for titles and file names
    root: str = "outputs"
    # shared by every model of the run; null keeps the setting of each model
    dtype: str | None = None
    pool: str | None = None
    layers: str = "all"
    prompt: str | None = None
    span: str = "all"
    generated: Generated = field(default_factory=Generated)
    caption: str = "first"
    picture: str = "first"
    sound: str = "all"
    combine: str = "mean_features"
    max_tokens: int | None = None
    overlong: str = "truncate"
    storage_dtype: str = "float32"
    shard: str | None = (
        None  # i/m: the i-th of m shares of the work: stored shards, pairs of models, or queries of a gallery
    )
    only: Any = None  # one model of the suite, or several: only=[a,b] or only="a,b"
    evict: bool = False  # remove downloaded weights after use
    overwrite: bool = False  # recompute existing results
    # settings of a single command
    neighbours: Neighbours = field(default_factory=Neighbours)
    what: str = "suites"  # ls: which list
    json: bool = False  # doctor: one JSON object instead of tables
    experiment: dict[str, Any] = field(default_factory=dict)  # simulate: name -> options of its function
    world: dict[str, Any] = field(default_factory=dict)  # simulate: name and parameters; empty: the experiment's own


def _names(models: Any) -> str:
    from omegaconf import OmegaConf

    from platorep.commands.checkpoints import entries

    return ",".join(entries(OmegaConf.to_container(models, resolve=True)))  # type: ignore[arg-type]


def register(own: Sequence[tuple[str, str]] = ()) -> None:
    """Registers the schema and the resolver `platorep.names` with Hydra; calling it again changes nothing.

    Args:
        own: metrics and figures of the user's own, as (group, "module.name"): each becomes a choice of its group, with
            the part after the last dot as its key.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    # the names of a suite's models joined by commas: the values of a sweep over them
    OmegaConf.register_new_resolver("platorep.names", _names, replace=True)

    schema = OmegaConf.structured(Config)
    for name in OPEN:
        OmegaConf.set_struct(schema[name], False)
    ConfigStore.instance().store(name="schema", node=schema)
    for group, path in own:
        entry = {path.rpartition(".")[2]: {TARGET: path}}
        ConfigStore.instance().store(group=group, name=path, node=entry)
