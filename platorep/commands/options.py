"""Groups of options that the command line sets and an experiment carries, each declared once.

They are plain dataclasses, not frozen ones, because Hydra builds its schema from them (`platorep.cli.schema`) and
merges overrides into them. Commands only read them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Compute:
    """Execution settings. They are not part of any key, and results do not depend on them."""

    device: str = "auto"  # auto | cpu | cuda | cuda:1
    threads: int | None = None  # CPU threads of torch; null leaves torch's choice
    tokens: int | None = None  # tokens (or picture patches) a batch; null finds the budget
    workers: int | None = None  # processes that decode pictures; null: one per core, at most 8
    shard_rows: int = 256  # samples per stored shard; a killed run loses at most one shard
    compile: bool = False  # torch.compile of a model's blocks, for long extractions on a GPU
    memory: str = "3GB"  # budget of `align` for prepared layers


@dataclass
class Protocol:
    """How the scores of layer pairs become one score per pair of models."""

    name: str = "prh"
    clip: str = "exact"  # exact | approximate | none: clamp at the quantile of |features|, once per model
    quantile: float = 0.95
    select: str = "max"  # max | heldout | last | depth:0.5
    ties: str = "random"  # random | first: which of equally near samples are neighbours; first is the released code's
    pairs: str = "cross"  # cross: models of different modalities; within: of one modality; all: every pair once


@dataclass
class Statistics:
    """Nulls and intervals of the scores."""

    permutations: int = 200  # relabellings for the null of the chosen layers; 0 leaves the null out
    strata: str | None = None  # null | category | caption_length: relabel only within these groups
    seed: int = 0


@dataclass
class Style:
    """How figures look on paper; `platorep.figures.style.PlotStyle` documents the possible values."""

    width: Any = None  # inches, or single or double for the columns of a paper; null: each figure's default
    font_size: float | None = None  # points; null: 8
    sheet: str | None = None  # a matplotlib style file, or a style's name
    formats: list[str] = field(default_factory=lambda: ["png", "pdf"])


@dataclass
class Gallery:
    """`platorep gallery`: the same queries, searched in growing galleries."""

    sizes: list[int] = field(default_factory=lambda: [1024, 4096, 16384])  # each gallery holds the one before it
    queries: int = 1024  # the first samples of every gallery
    share: float | None = 0.01  # in addition to the metric's k: k as this share of the gallery; null leaves it out
    seed: int = 0  # seed of the order of the samples
    search: str = "exact"  # exact | faiss: approximate, needs the extra platorep[faiss]


@dataclass
class Units:
    """`platorep units`: which units are matched, and the nulls for their correlations."""

    pairs: str = "within"  # within: models of one modality; cross: of different modalities; all: every pair once
    layers: str = "all"  # all | last | indices such as "3,-1" | relative depths such as "depth:0.5,1.0"
    rule: str = "best_buddies"  # best_buddies | released: the best partner, among whose 5 best the unit is
    permutations: int = 99  # number of permutations of the samples; no p is smaller than 1/(permutations + 1)
    rotations: int = 5  # number of rotations of the basis of every layer
    partial: str | None = None  # null | picture_mean | caption_length: removed from every unit by least squares


@dataclass
class Translation:
    """`platorep translate`: the number of samples and of splits on which maps are fitted and tested."""

    draws: int = 5  # random splits into fit, select and test, each with its own order of anchors
    samples: int = 2048  # largest number of samples; from a larger dataset, this many are drawn at random


@dataclass
class Basin:
    """`platorep basin`: which trained networks lie on lines, and on how many pictures they are measured."""

    points: int = 11  # places on a line, with both ends
    pictures: int = 5000  # training pictures for matching, repair and the training loss
    near: int = 2000  # test pictures whose neighbours are compared
    epochs: list[int] = field(default_factory=lambda: [1, 2, 5])  # earlier epochs at which the first pair is compared
    forks: list[int] = field(default_factory=lambda: [0, 1, 2, 5])  # epochs that a fork shares with the network
    forked: str | None = None  # the network that is forked and compared on halves of the pictures; null: the first


@dataclass
class Stitching:
    """`platorep stitch`: which networks send and receive, and on how many pictures or text blocks maps are fitted."""

    pictures: int = 5000  # most pictures for maps, and most test pictures
    epochs: int = 10  # of task-loss matching and of probes
    rows: int = 20000  # most pictures x positions of a direct match
    receivers: list[str] | None = None  # names of the networks that receive; null: all that can


@dataclass
class Captions:
    """`platorep captions`: which model summarises the dataset's captions, and how."""

    model: dict[str, Any] = field(default_factory=dict)  # a model as in a suite, with its name
    words: list[int] = field(default_factory=lambda: [5, 10, 20, 30])
    batch: int = 8
    temperature: float = 0.0  # 0 is greedy
    seed: int = 0


@dataclass
class Neighbours:
    """`platorep neighbours`: the query, and the layer in which it is compared."""

    query: str = ""  # a text, or the path of a picture
    k: int = 10
    layer: str = "last"  # last | chosen, by the protocol after `align` | an index | a relative depth such as depth:0.5
    html: bool = False  # also write a page with pictures
