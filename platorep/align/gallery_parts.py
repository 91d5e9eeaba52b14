"""The design of a search in galleries, and its parts on disk.

A part has the shared neighbours of each query: one file for each pair of models and share of the queries.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from platorep.align.parts import origin
from platorep.core.errors import DataError, SpecError, StoreError
from platorep.core.features import Features
from platorep.core.files import read_parquet, slug, table_facts, write_parquet
from platorep.core.ranges import check_seed
from platorep.core.version import __version__
from platorep.metrics.base import Similarity
from platorep.metrics.knn import check_k, share
from platorep.metrics.neighbours import MutualKNN
from platorep.metrics.ties import TieRule, check_rule
from platorep.results.tables import GALLERY_COLUMNS
from platorep.stats.permutations import nested_order
from platorep.stats.queries import query_scores


log = logging.getLogger(__name__)

GALLERY_VERSION = 1
"""Raised whenever the meaning of a part changes; part of every part's name."""

TILES = 16
"""Smallest number of query tiles. Shares end at tile edges, so that products are the same whatever the shares."""

ROWS = 1024
"""Largest number of query rows in a tile."""

_CELLS = 1 << 24  # bytes of the table in which shared neighbours are looked up


class Setting(NamedTuple):
    """One gallery and one number of neighbours."""

    n: int
    k: int
    share: float  # k as a share of n; NaN where k is fixed


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which queries are searched in which galleries.

    Attributes:
        sizes: of the galleries, increasing. Galleries and queries are the first samples of one random order: each
            gallery holds the one before it, and all hold the queries, which are left out of their own neighbours.
        queries: number of queries.
        ks: numbers of neighbours that stay as the gallery grows.
        share: k as a share of the gallery's size, at least 1; None for fixed numbers alone.
        seed: of the order.
        similarity: cosine or euclidean.
        ties: which of equally near samples are neighbours, in an exact search; see `platorep.metrics.ties`.
        search: exact, or faiss: approximate.

    Raises:
        SpecError: sizes, queries, ks or share that do not fit together.
        FeatureError: a k that a gallery does not have.
    """

    sizes: tuple[int, ...]
    queries: int
    ks: tuple[int, ...] = (10,)
    share: float | None = 0.01
    seed: int = 0
    similarity: Similarity = "cosine"
    ties: TieRule = "random"
    search: str = "exact"

    def __post_init__(self) -> None:
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)) or self.sizes[0] < 2:
            raise SpecError(
                f"gallery.sizes is {list(self.sizes)}; expected sizes that increase, from 2 on, such as "
                "[1024,4096,16384]."
            )
        check_seed("gallery.seed", self.seed)
        if not 2 <= self.queries <= self.sizes[0]:
            raise SpecError(
                f"gallery.queries is {self.queries}; expected 2 to {self.sizes[0]}, the smallest gallery: "
                "every gallery holds all queries."
            )
        if self.share is not None and not 0 < self.share < 1:
            raise SpecError(
                f"gallery.share is {self.share}; expected k as a share of the gallery, such as 0.01, or null for "
                "fixed k alone."
            )
        if self.search not in ("exact", "faiss"):
            raise SpecError(f"gallery.search is {self.search!r}; expected exact or faiss.")
        check_rule(self.ties)
        for setting in self.settings:
            check_k(setting.k, setting.n)

    @property
    def settings(self) -> list[Setting]:
        """Fixed k first; within a rule the galleries in order."""
        fixed = [Setting(n, k, math.nan) for k in self.ks for n in self.sizes]
        return fixed + (
            [] if self.share is None else [Setting(n, max(1, round(self.share * n)), self.share) for n in self.sizes]
        )

    @property
    def widest(self) -> list[int]:
        """Largest k of each gallery; the neighbours of a smaller k are the first of these."""
        return [max(setting.k for setting in self.settings if setting.n == n) for n in self.sizes]

    @property
    def rows(self) -> int:
        """Query rows of a tile; it depends on the number of queries alone."""
        return min(ROWS, -(-self.queries // TILES))

    @property
    def search_id(self) -> str:
        """The method of search with every setting that its neighbours depend on."""
        if self.search == "exact":
            return self.search
        from platorep.metrics.approximate import PARAMETERS

        return PARAMETERS

    def backend(self, device: torch.device) -> str:
        """The method of search as written in results."""
        if self.search == "exact":
            return device.type
        from platorep.metrics.approximate import METHOD

        return f"cpu, {METHOD}"

    def order(self, n: int) -> torch.Tensor:
        """The samples of the largest gallery in their random order, out of n samples.

        Raises:
            DataError: n is below the size of the largest gallery.
        """
        if self.sizes[-1] > n:
            raise DataError(
                f"gallery.sizes goes up to {self.sizes[-1]}, but there are only {n} samples. "
                f"Leave out the galleries above {n}."
            )
        return torch.from_numpy(nested_order(n, self.seed)[: self.sizes[-1]])


class Searched(NamedTuple):
    """One layer's neighbours of a share of the queries."""

    graphs: list[torch.Tensor]  # one a gallery, (queries of the share, widest k) int32, nearest first
    tested: list[int]  # true neighbours looked up, one number for each setting; 0 for a layer that is left out
    found: list[int]  # those of them that the search returned
    tied: list[float]  # queries whose last neighbour is tied with the next; NaN where the search does not tell

    @classmethod
    def nothing(cls, design: Design, shard: tuple[int, int]) -> Searched:
        """In place of a layer that is left out."""
        start, stop = share(design.queries, shard, design.rows)
        graphs = [torch.zeros(stop - start, k, dtype=torch.int32) for k in design.widest]
        zeros = [0] * len(design.settings)
        return cls(graphs, zeros, zeros, [math.nan] * len(zeros))


def part_path(out_dir: Path, x: Features, y: Features, design: Design, clip: str, shard: tuple[int, int]) -> Path:
    """The file of a pair of models and share of the queries; its name has everything that determines the overlaps."""
    body = [
        GALLERY_VERSION,
        x.key,
        y.key,
        x.digest,
        clip,
        design.settings,
        design.queries,
        design.seed,
        design.similarity,
        design.search_id,
        *([design.ties] if design.ties != "random" else []),
    ]
    code = hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12]
    return out_dir / f"{slug(x.name)}--{slug(y.name)}--{code}--{shard[0]}-of-{shard[1]}.parquet"


def is_current(path: Path, x: Features, y: Features) -> bool:
    """Whether a part is complete and was computed from the present features; parts of earlier versions do not say."""
    if not path.is_file():
        return False
    try:
        facts = table_facts(read_parquet(path))
    except StoreError as error:
        log.warning("%s It is computed again.", error.fault)
        return False
    if facts and facts != origin(path, x, y):
        log.warning("%s was made from other features, or for another place. It is computed again.", path)
        return False
    return True


def write_part(
    path: Path, xs: list[Searched], ys: list[Searched], design: Design, backend: str, facts: dict[str, object]
) -> None:
    """One row a setting, x layer and y layer, with the shared neighbours of every query of the share as a list.

    `facts` are stored with the rows: the origin of the features (`align.parts.origin`).
    """
    settings, pairs = design.settings, len(xs) * len(ys)
    counts = []
    for n, k, _ in settings:
        size = design.sizes.index(n)
        x_graphs, y_graphs = ([layer.graphs[size][:, :k] for layer in side] for side in (xs, ys))
        counts.append(shared_by_query(x_graphs, y_graphs, n))
    flat = np.concatenate([setting_counts.reshape(pairs, -1) for setting_counts in counts])
    columns: dict[str, Any] = {
        name: np.repeat([getattr(setting, name) for setting in settings], pairs) for name in Setting._fields
    }
    for side, layers in (("x", xs), ("y", ys)):
        index = np.repeat(np.arange(len(xs)), len(ys)) if side == "x" else np.tile(np.arange(len(ys)), len(xs))
        columns[f"{side}_layer"] = np.tile(index, len(settings)).astype(np.int32)
        for name in ("tested", "found", "tied"):
            columns[f"{side}_{name}"] = np.array([getattr(layer, name) for layer in layers])[index].T.ravel()
    columns |= {
        "backend": pa.array([backend] * len(flat)),
        "overlaps": pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1]),
    }
    write_parquet(path, pa.table(columns), facts)


def merged_rows(x: Features, y: Features, design: Design, clip: str, parts: list[Path]) -> pd.DataFrame:
    """The table's rows of one pair of models, from the parts of all shares.

    Raises:
        StoreError: a part is damaged, or is not of these layers and galleries; names it.
    """
    read = _read_parts(x, y, design, parts)
    overlaps = np.concatenate(
        [part["overlaps"].combine_chunks().flatten().to_numpy().reshape(len(part), -1) for part in read],
        axis=1,
        dtype=np.int64,
    )
    sums = {
        # parts of versions without the rule for ties lack its column
        name: sum(part[name].to_numpy() if name in part.column_names else math.nan for part in read)
        for name in (f"{side}_{count}" for side in "xy" for count in ("tested", "found", "tied"))
    }
    keys = read[0].select([*Setting._fields, "x_layer", "y_layer"]).to_pandas()
    backends = sorted({word for part in read for word in part["backend"].unique().to_pylist()})
    scores, pairs = [], len(x.layers) * len(y.layers)
    for at, setting in enumerate(design.settings):
        scores.append(query_scores(overlaps[at * pairs : (at + 1) * pairs], setting.k, setting.n))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(score, name) for score in scores]) for name in scores[0]._fields
    }
    missing = (sums["x_tested"] == 0) | (sums["y_tested"] == 0)
    columns = {name: np.where(missing, np.nan, values) for name, values in columns.items()}
    chance = keys.k / (keys.n - 1)
    metrics = {
        k: MutualKNN(k=k, similarity=design.similarity, ties=design.ties).id
        for k in {setting.k for setting in design.settings}
    }
    columns |= {
        "dataset": x.dataset,
        "n": keys.n,
        "queries": design.queries,
        "metric": keys.k.map(metrics),
        "k": keys.k,
        "share": keys.share,
        "seed": design.seed,
        "chance": chance,
        "corrected": (columns["score"] - chance) / (1 - chance),
        "clip": clip,
        "dtype": "float32",
        "backend": " + ".join(backends),
        "version": __version__,
    }
    for side, features in (("x", x), ("y", y)):
        names = np.array([layer.name for layer in features.layers], dtype=object)
        columns |= {
            f"{side}_model": features.name,
            f"{side}_key": features.key,
            f"{side}_modality": features.spec.model.modality,
            f"{side}_family": features.spec.model.family,
            f"{side}_layer": keys[f"{side}_layer"],
            f"{side}_layer_name": names[keys[f"{side}_layer"]],
            f"{side}_recall": sums[f"{side}_found"] / np.where(missing, np.nan, sums[f"{side}_tested"]),
            f"{side}_tied": sums[f"{side}_tied"] / design.queries,
        }
    return pd.DataFrame({name: columns[name] for name in GALLERY_COLUMNS})


def _read_parts(x: Features, y: Features, design: Design, paths: Sequence[Path]) -> list[pa.Table]:
    """The parts of all shares, each checked against the features and galleries that its name stands for."""
    parts = [read_parquet(path) for path in paths]
    expected = [setting.n for setting in design.settings for _ in x.layers for _ in y.layers]
    for path, part in zip(paths, parts, strict=True):
        if (facts := table_facts(part)) and facts != origin(path, x, y):
            raise StoreError(
                f"{path} was made from other features, or for another place. Make its share of the queries again."
            )
        if part["n"].to_pylist() != expected or part["k"].to_pylist() != parts[0]["k"].to_pylist():
            raise StoreError(
                f"{path} holds other layers or galleries than its name says. Remove it and run "
                "`platorep gallery` again."
            )
    return parts


def shared_by_query(xs: Sequence[torch.Tensor], ys: Sequence[torch.Tensor], n: int) -> np.ndarray:
    """Number of neighbours that each query shares, for all pairs of graphs.

    Args:
        xs: Lx neighbour index tensors, shape (q, k) each.
        ys: Ly of them, for the same queries.
        n: size of the gallery.

    Returns:
        Shape (Lx, Ly, q), of the smallest unsigned integers that hold k.

    Cost: one look-up a neighbour and pair, Lx Ly q k; memory some 16 MB beside the result.
    """
    q, k = xs[0].shape
    counts = np.empty((len(xs), len(ys), q), dtype=np.min_scalar_type(k))
    step = max(1, _CELLS // max(n, 8 * k * len(ys)))
    for start in range(0, q, step):
        stop = min(start + step, q)
        base = (torch.arange(stop - start, device=xs[0].device) * n)[:, None]
        cells = [y[start:stop].long() + base for y in ys]
        table = torch.zeros((stop - start) * n, dtype=torch.bool, device=xs[0].device)
        for i, x in enumerate(xs):
            own = (x[start:stop].long() + base).flatten()
            table[own] = True
            for j, those in enumerate(cells):
                counts[i, j, start:stop] = table[those].sum(dim=1).cpu().numpy()
            table[own] = False
    return counts
