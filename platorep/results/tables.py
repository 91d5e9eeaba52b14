"""Tidy tables of scores in parquet: alignment per layer pair, competence per model and measure.

The tables hold everything that was computed; the best layer pair and the models' matrix are views of them.
Timings are logged and not stored: the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd
import pyarrow as pa

from platorep.core.errors import StoreError
from platorep.core.files import read_parquet, table_facts, write_parquet


CONCATENATION = -1
"""Layer index of the concatenation of all layers of a model."""

ALIGNMENT_COLUMNS = {
    "dataset": "string",  # folder name of the dataset in the store: name--key
    "n": "int64",
    "metric": "string",  # full id, every ambiguity spelled out: mutual_knn(k=10,similarity=cosine)
    "x_model": "string",
    "x_key": "string",
    "x_modality": "string",
    "x_family": "string",
    "x_layer": "int64",  # index in depth order, 0-based; -1 is the concatenation of all layers
    "x_layer_name": "string",
    "x_depth": "float64",  # layer / (layers - 1), in [0, 1]; NaN for the concatenation
    "y_model": "string",
    "y_key": "string",
    "y_modality": "string",
    "y_family": "string",
    "y_layer": "int64",
    "y_layer_name": "string",
    "y_depth": "float64",
    "score": "float64",
    "null_mean": "float64",  # of the fixed layer pair under uniform relabelling of the samples
    "null_sd": "float64",
    "z": "float64",  # (score - null_mean) / null_sd
    "p_value": "float64",  # one-sided, of the fixed layer pair
    "corrected": "float64",  # (score - null_mean) / (maximum - null_mean): 0 at chance, 1 at the maximum
    "clip": "string",  # rule and threshold quantile of the clamp: exact(0.95), approximate(0.95), none
    "dtype": "string",
    "backend": "string",  # cpu, cuda, faiss(...)
    "version": "string",
    "x_tied": "float64",  # share of samples whose k-th neighbour is tied with the next; NaN without neighbours
    "y_tied": "float64",
    "x_left_out": "string",  # why x's layer takes no part, so that the score is missing; empty where it does
    "y_left_out": "string",
}

FACTS = {
    "x_weights": "string",  # pretrained or random
    "x_base": "string",  # the model that this one is a degraded variant of; empty where it is intact
    "x_dial": "string",  # how it was degraded: weight_noise or input_size
    "x_dose": "float64",  # how far: standard deviations of the weights, or pixels; NaN where it is intact
    "x_step": "float64",  # training step of a checkpoint, or epoch of a network trained here; NaN without
    "x_trajectory": "string",  # checkpoints of one training have the same; empty for other models
    "y_weights": "string",
    "y_base": "string",
    "y_dial": "string",
    "y_dose": "float64",
    "y_step": "float64",
    "y_trajectory": "string",
    "words": "float64",  # words per caption, where captions were cut or summarised to a length
    "shuffle_share": "float64",  # share of the pairs that were mismatched, where any were
    "shuffle_seed": "float64",
}
"""Facts of the models and of the data's variant, from their specs: what figures group and order by.

They follow from specs and determine no score. Tables that were written without them can still be read;
`platorep.results.facts` fills them in.
"""

ALIGNMENT_COLUMNS |= FACTS

ADDED = {
    "x_tied": float("nan"), "y_tied": float("nan"), "x_left_out": "", "y_left_out": "",
    "scored_n": float("nan"), "scored_k": float("nan"), "note": "", "x_language": "", "y_language": "",
}  # fmt: skip
"""Columns that tables of earlier versions lack, with their values for such tables."""

SELECTION_COLUMNS = {
    "dataset": "string",
    "n": "int64",
    "metric": "string",
    "clip": "string",
    "select": "string",  # how the layers were chosen: max, heldout, last, depth:0.5
    "x_model": "string",
    "x_key": "string",
    "x_family": "string",
    "x_layer": "int64",
    "y_model": "string",
    "y_key": "string",
    "y_family": "string",
    "y_layer": "int64",
    "score": "float64",
    "low": "float64",  # 95 % interval for another draw of all samples, layers as chosen; NaN where none is offered
    "high": "float64",
    "interval": "string",  # function of platorep.stats that made it
    "null_mean": "float64",  # of the score under relabelling, with layers chosen again each time
    "null_sd": "float64",
    "null_low": "float64",  # central 95 % of the null
    "null_high": "float64",
    "p_value": "float64",  # (1 + #{null >= score}) / (permutations + 1)
    "p_family": "float64",  # corrected for the whole matrix of models by max-T
    "q_value": "float64",  # Benjamini and Hochberg over the matrix
    "p_floor": "float64",  # no smaller p is possible with these permutations
    "corrected": "float64",  # (score - null_mean) / (maximum - null_mean)
    "calibrated": "float64",  # Gröger et al. 2026; NaN for unbounded metrics
    "permutations": "int64",
    "seed": "int64",
    "strata": "string",  # samples were relabelled within these labels only; empty: among all
    "version": "string",
    "scored_n": "float64",  # samples that the score is computed from: n, or the half of them that a held-out score has
    "scored_k": "float64",  # neighbours that it looks at: the metric's k, or in proportion to the half; NaN without
    "x_tied": "float64",  # share of samples whose k-th neighbour in the chosen layer of x is tied with the next
    "y_tied": "float64",
    "note": "string",  # anything else to know about the score, such as why it has no interval
}

GALLERY_COLUMNS = {
    "dataset": "string",
    "n": "int64",  # size of the gallery that was searched, the queries among it
    "queries": "int64",
    "metric": "string",  # full id, with this row's k
    "k": "int64",
    "share": "float64",  # k as a share of n; NaN where k stays as the gallery grows
    "seed": "int64",  # of the samples' order, which starts with the queries
    "x_model": "string",
    "x_key": "string",
    "x_modality": "string",
    "x_family": "string",
    "x_layer": "int64",
    "x_layer_name": "string",
    "y_model": "string",
    "y_key": "string",
    "y_modality": "string",
    "y_family": "string",
    "y_layer": "int64",
    "y_layer_name": "string",
    "score": "float64",  # mean over the queries
    "chance": "float64",  # k / (n - 1): the mean under uniform relabelling of the gallery, exactly
    "corrected": "float64",  # (score - chance) / (1 - chance)
    "standard_error": "float64",  # over queries, conditional on the gallery: platorep.stats.queries.query_scores
    "low": "float64",  # 95 % interval for other queries in the same gallery
    "high": "float64",
    "x_recall": "float64",  # share of true neighbours found, on a sample of the queries; 1 for an exact search
    "y_recall": "float64",
    "clip": "string",
    "dtype": "string",
    "backend": "string",  # cpu, cuda, or an approximate search: cpu, faiss HNSW32 (approximate)
    "version": "string",
    "x_tied": "float64",  # share of queries whose k-th neighbour is tied with the next; NaN for an approximate search
    "y_tied": "float64",
}

COMPETENCE_COLUMNS = {
    "model": "string",
    "key": "string",
    "modality": "string",
    "family": "string",
    "measure": "string",  # bits_per_byte, bits_per_byte_released, parameters, hellaswag, gsm8k, vtab_solved, ...
    "value": "float64",
    "standard_error": "float64",  # NaN where none is known
    "task": "string",  # corpus or task with its revision
    "source": "string",  # measured | imported | published
    "provenance": "string",  # for published and imported values: where from, by which protocol
}


@dataclass(frozen=True)
class Table:
    """A data frame with fixed columns and dtypes."""

    frame: pd.DataFrame

    columns: ClassVar[dict[str, str]]
    optional: ClassVar[dict[str, str]] = {}

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> Self:
        """Checks and orders the columns and casts them to their dtypes. Optional columns may be missing.

        Raises:
            StoreError: a column is missing (other than `ADDED`) or is not one of the table's.
        """
        want = cls.columns
        absent: dict[str, Any] = {name: "" if kind == "string" else float("nan") for name, kind in cls.optional.items()}
        absent |= {name: ADDED[name] for name in want if name in ADDED}
        frame = frame.assign(**{name: value for name, value in absent.items() if name not in frame})
        if set(frame.columns) != set(want):
            missing, extra = sorted(set(want) - set(frame.columns)), sorted(set(frame.columns) - set(want))
            raise StoreError(f"not a {cls.__name__}: missing columns {missing}, unexpected {extra}.")
        return cls(frame[list(want)].astype(want).reset_index(drop=True))

    @classmethod
    def load(cls, paths: Path | str | Iterable[Path | str]) -> Self:
        """One parquet file, or the concatenation of several, in the order given.

        Raises:
            StoreError: there are none, or one is missing, damaged or another kind of table; names it.
        """
        parts = [cls.read(Path(path))[0] for path in ([paths] if isinstance(paths, (Path, str)) else paths)]
        if not parts:
            raise StoreError(f"no parts of {cls.__name__} to load. Run the stage that makes them first.")
        return cls.concatenate(parts)

    @classmethod
    def read(cls, path: Path) -> tuple[Self, dict[str, Any]]:
        """The table in one parquet file, and the facts that were written with it.

        Raises:
            StoreError: it is missing, damaged or another kind of table; names it.
        """
        if path.is_dir():
            raise StoreError(f"{path} is a folder; expected a .parquet file. platorep.load reads a folder of results.")
        try:
            table = read_parquet(path)
        except FileNotFoundError:
            raise StoreError(f"{path} is missing. Run the command that makes it first.") from None
        try:
            return cls.from_frame(table.to_pandas()), table_facts(table)
        except StoreError as error:
            raise StoreError(f"{path}: {error.fault}") from None
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path}: {error}") from None

    @classmethod
    def concatenate(cls, tables: Iterable[Self]) -> Self:
        """The rows of all tables, in the order given."""
        return cls(pd.concat([table.frame for table in tables], ignore_index=True))

    def write(self, path: Path, facts: Mapping[str, Any] | None = None) -> None:
        """Writes one parquet file, atomically; the same table and facts give the same bytes.

        Args:
            path: file to write.
            facts: kept with the table, and given back by `read`: what it was made from.
        """
        write_parquet(path, pa.Table.from_pandas(self.frame, preserve_index=False), facts)


@dataclass(frozen=True)
class AlignmentTable(Table):
    """Scores of layer pairs: one row per (x model, x layer, y model, y layer, metric)."""

    columns = ALIGNMENT_COLUMNS
    optional = FACTS

    def of_models(self, keys: Mapping[str, str | None]) -> AlignmentTable:
        """The rows of the configured models, by name and key.

        Args:
            keys: model name -> key of its features; None where they are not stored, which takes the one key that the
                table has under that name.

        Raises:
            StoreError: the table has several models under a name whose key is not known; names their keys.
        """
        rows = self.frame
        for side in ("x", "y"):
            wanted = rows[f"{side}_model"].map(keys)
            rows = rows[rows[f"{side}_model"].isin(list(keys)) & (wanted.isna() | (wanted == rows[f"{side}_key"]))]
        for name in (name for name, key in keys.items() if key is None):
            keys_of_name = {*rows.x_key[rows.x_model == name], *rows.y_key[rows.y_model == name]}
            if len(keys_of_name) > 1:
                raise StoreError(
                    f"there are scores of {len(keys_of_name)} models named {name} "
                    f"(keys {', '.join(sorted(keys_of_name))}), and its features are not stored. "
                    "Run `platorep extract` with the settings of one of them."
                )
        return AlignmentTable(rows.reset_index(drop=True))

    def best(self) -> pd.DataFrame:
        """The row with the highest score of every pair of models, metric and variant of the data: the paper's choice.

        The concatenation takes part. Ties go to the lower x layer, then the lower y layer, the concatenation last.
        Layers that are left out are never chosen; a pair of models without any layer left has no row. The maximum over
        layers lies above a fixed layer's chance level: see `platorep.stats` for its null.
        """
        by = ["dataset", "metric", "clip", "x_model", "x_key", "y_model", "y_key"]
        by += ["words", "shuffle_share", "shuffle_seed"]
        order = self.frame.assign(
            _x=self.frame.x_layer.where(self.frame.x_layer >= 0, 1 << 30),
            _y=self.frame.y_layer.where(self.frame.y_layer >= 0, 1 << 30),
        ).sort_values(["score", "_x", "_y"], ascending=[False, True, True], kind="stable")
        top = order[order.score.notna()].drop_duplicates(by).drop(columns=["_x", "_y"])
        return top.sort_index().reset_index(drop=True)

    def matrix(self, metric: str | None = None) -> pd.DataFrame:
        """The models' matrix of best scores: x models down, y models across, each in order of first appearance."""
        best = self.best()
        if metric is not None:
            best = best[best.metric == metric]
        if (twice := best.duplicated(["x_model", "y_model"])).any():
            pair = best[twice].iloc[0]
            raise StoreError(
                f"the table has several scores of {pair.x_model} and {pair.y_model}, for other settings, samples "
                "or metrics (columns x_key, y_key, dataset, metric, clip). Choose one (`of_models`, metric=) of them."
            )
        rows, columns = best.x_model.unique(), best.y_model.unique()
        return best.pivot(index="x_model", columns="y_model", values="score").reindex(index=rows, columns=columns)


@dataclass(frozen=True)
class SelectionTable(Table):
    """One score per pair of models and metric, with the null of its choice of layers, and its interval."""

    columns = SELECTION_COLUMNS


@dataclass(frozen=True)
class GalleryTable(Table):
    """Scores of the same queries in growing galleries: one row per (pair of layers, gallery, number of neighbours)."""

    columns = GALLERY_COLUMNS

    def best(self) -> pd.DataFrame:
        """All rows of one layer pair a pair of models, the same in every gallery.

        It is the pair with the highest corrected score at the first fixed k, on average over the galleries: a choice in
        one of them would flatter that one. Ties go to the lower x layer, then the lower y layer.
        """
        models = ["dataset", "clip", "x_model", "x_key", "y_model", "y_key"]
        pair = [*models, "x_layer", "y_layer"]
        fixed = self.frame[self.frame.share.isna()]
        mean = fixed[fixed.k == fixed.k.iloc[0]].groupby(pair, as_index=False, sort=False).corrected.mean()
        mean = mean.sort_values(["corrected", "x_layer", "y_layer"], ascending=[False, True, True], kind="stable")
        return self.frame.merge(mean.drop_duplicates(models)[pair], on=pair)


@dataclass(frozen=True)
class CompetenceTable(Table):
    """Competence of models: one row per (model, measure)."""

    columns = COMPETENCE_COLUMNS

    def values(self, measure: str) -> pd.Series:
        """Value by model name for one measure."""
        rows = self.frame[self.frame.measure == measure]
        return rows.set_index("model")["value"]
