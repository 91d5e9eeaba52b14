"""Views of the tables that several figures share: one metric, one dataset, one row per pair of models."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.results.facts import Dose
from platorep.results.labels import metric_parameters
from platorep.results.protocols import VARIANT
from platorep.results.tables import CompetenceTable


PAPER_METRIC = "mutual_knn(k=10,similarity=cosine)"
"""The metric of the paper's figures: drawn when a table holds several and none is named."""

MODEL_FACTS = ["modality", "family", "weights", "base", "dial", "dose", "step", "trajectory"]

PAIR_COLUMNS = [
    "dataset",
    "metric",
    "n",
    "score",
    "low",
    "high",
    "null_mean",
    "null_sd",
    "corrected",
    "null_mean_fixed",
    "corrected_fixed",
    "select",
    *VARIANT,
]
"""Columns of `cross_modal` beside the models and their facts."""


def pick_metric(available: Sequence[str], metric: str | None) -> str:
    """The metric to draw: the one named, the only one, or the paper's.

    Raises:
        UnknownNameError: the one named is not in the table.
        StoreError: there are several, none is named, and the paper's is not among them.
    """
    if metric is not None:
        if metric not in available:
            raise unknown_name("metric in the alignment table", metric, available)
        return metric
    if len(available) == 1:
        return available[0]
    if PAPER_METRIC in available:
        return PAPER_METRIC
    raise StoreError(
        f"the alignment table holds {len(available)} metrics ({', '.join(available)}): name one, "
        "figure.NAME.metric='\"ID\"' on the command line, metric= in Python."
    )


def pick_dataset(available: Sequence[str], dataset: str | None) -> str:
    """The dataset to draw: the one named (with or without its key), or the only one.

    Raises:
        UnknownNameError: the one named is not in the table.
        StoreError: there are several and none is named.
    """
    if dataset is not None:
        near = [name for name in available if name == dataset or name.split("--")[0] == dataset]
        if len(near) == 1:
            return near[0]
        raise unknown_name("dataset in the alignment table", dataset, available)
    if len(available) == 1:
        return available[0]
    raise StoreError(
        f"the alignment table holds {len(available)} datasets ({', '.join(available)}): name one, dataset=..."
    )


def rows(frame: pd.DataFrame, metric: str | None = None, dataset: str | None = None) -> pd.DataFrame:
    """The rows of one metric on one dataset.

    Args:
        frame: all layer pairs, or the chosen ones.
        metric: full id, where there are several.
        dataset: name, where there are several.

    Raises:
        StoreError: there are no rows, or it is open which to draw.
        UnknownNameError: a metric or dataset that is not there.
    """
    if frame.empty:
        raise StoreError("the alignment table is empty: run `platorep align` first.")
    frame = frame[frame.metric == pick_metric(list(frame.metric.unique()), metric)]
    return frame[frame.dataset == pick_dataset(list(frame.dataset.unique()), dataset)]


def pairs(chosen: pd.DataFrame, metric: str | None = None, dataset: str | None = None) -> pd.DataFrame:
    """One row per pair of models, under one metric on one dataset.

    Args:
        chosen: rows of `protocols.chosen`.
        metric: full id, where there are several.
        dataset: name, where there are several.

    Raises:
        StoreError: a pair occurs twice, under two clipping rules or two keys of one model's name.
    """
    chosen_rows = rows(chosen, metric, dataset)
    twice = chosen_rows[chosen_rows.duplicated(["x_model", "y_model", *VARIANT], keep=False)]
    if not twice.empty:
        pair = twice[(twice.x_model == twice.x_model.iloc[0]) & (twice.y_model == twice.y_model.iloc[0])]
        differs = [c for c in ("clip", "x_key", "y_key", "n") if pair[c].nunique() > 1]
        raise StoreError(
            f"{pair.x_model.iloc[0]} x {pair.y_model.iloc[0]} occurs {len(pair)} times in the alignment table, "
            f"with different {', '.join(differs) or 'rows'}: keep the rows of one run."
        )
    return chosen_rows


def cross_modal(chosen: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a language and a vision model, whichever side they are on.

    Returns:
        Columns language and vision (names), the facts of each (language_family, vision_dial, ...), and `PAIR_COLUMNS`.

    Raises:
        StoreError: there is no such pair.
    """
    sides = []
    for a, b in (("x", "y"), ("y", "x")):
        part = chosen[(chosen[f"{a}_modality"] == "language") & (chosen[f"{b}_modality"] == "vision")]
        names = {f"{a}_model": "language", f"{b}_model": "vision"}
        for side, modality in ((a, "language"), (b, "vision")):
            names |= {f"{side}_{fact}": f"{modality}_{fact}" for fact in MODEL_FACTS}
        sides.append(part.rename(columns=names)[[*names.values(), *PAIR_COLUMNS]])
    modal_pairs = pd.concat([side for side in sides if len(side)] or sides[:1], ignore_index=True)
    modal_pairs = modal_pairs.drop_duplicates(["dataset", "metric", "n", "language", "vision", *VARIANT])
    if modal_pairs.empty:
        there = sorted({f"{x} x {y}" for x, y in zip(chosen.x_modality, chosen.y_modality, strict=True)})
        raise StoreError(
            f"the figure shows language against vision models; the alignment table has only {', '.join(there)}."
        )
    return modal_pairs


def within(chosen: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Symmetric matrix of scores between different models of one modality.

    NaN where a pair was not scored, the mean where both orders were.

    Raises:
        StoreError: fewer than two such models.
    """
    part = chosen[
        (chosen.x_modality == modality) & (chosen.y_modality == modality) & (chosen.x_model != chosen.y_model)
    ]
    names = list(dict.fromkeys([*part.x_model, *part.y_model]))
    if len(names) < 2:
        raise StoreError(
            f"the figure compares {modality} models with each other; the alignment table has no such pair."
        )
    both = pd.concat([part, part.rename(columns={"x_model": "y_model", "y_model": "x_model"})])
    return both.pivot_table(index="x_model", columns="y_model", values="score").reindex(index=names, columns=names)


def matrix(chosen: pd.DataFrame) -> pd.DataFrame:
    """The models' matrix of scores: x models down, y models across, each in order of first appearance."""
    rows_, columns = chosen.x_model.unique(), chosen.y_model.unique()
    return chosen.pivot(index="x_model", columns="y_model", values="score").reindex(index=rows_, columns=columns)


def by_variant(chosen: pd.DataFrame, metric: str | None, column: str) -> pd.DataFrame:
    """Language x vision pairs of the variants of the data that have a value in a column: words, or shuffle_share.

    Args:
        chosen: rows of `protocols.chosen`.
        metric: full id, where there are several.
        column: the fact that sets the variants apart; rows without it are left out.

    Returns:
        Rows of `cross_modal`, of all variants.

    Raises:
        StoreError: no row has a value.
    """
    known = chosen[chosen[column].notna()]
    if known.empty:
        names = ", ".join(chosen.dataset.unique()) or "none"
        expected = {"words": "a caption length", "shuffle_share": "a share of shuffled pairs"}.get(column, column)
        raise StoreError(f"no row of the alignment table has {expected} (column {column}); datasets: {names}.")
    parts = [cross_modal(pairs(known, metric, dataset)) for dataset in known.dataset.unique()]
    return pd.concat(parts, ignore_index=True)


def models(chosen: pd.DataFrame) -> pd.DataFrame:
    """The models of some pairs and their facts: one row per model, by name, in order of appearance, x models first."""
    sides = [
        chosen[[f"{side}_model", *(f"{side}_{fact}" for fact in MODEL_FACTS)]].set_axis(["model", *MODEL_FACTS], axis=1)
        for side in "xy"
    ]
    return pd.concat(sides).drop_duplicates("model").set_index("model")


def doses(facts: pd.DataFrame) -> dict[str, Dose]:
    """The doses of the degraded models among `models`; intact ones are left out."""
    degraded = facts[facts.dial != ""]
    return {row.Index: Dose(row.base, row.dial, float(row.dose)) for row in degraded.itertuples()}


def untrained(facts: pd.DataFrame) -> list[str]:
    """The models with random weights among `models`."""
    return sorted(facts.index[facts.weights == "random"])


def measure(competence: CompetenceTable | None, name: str, task: str | None = None) -> pd.Series:
    """Values of one competence measure by model; NaN is left out.

    Raises:
        UnknownNameError: the table has no such measure or task.
        StoreError: there is no table, or a model has several values and no task is named.
    """
    if competence is None:
        raise StoreError(f"the figure needs {name} by model, and there is no competence table.")
    frame = competence.frame
    if name not in set(frame.measure):
        raise unknown_name("measure in the competence table", name, frame.measure.unique())
    frame = frame[(frame.measure == name) & frame.value.notna()]
    if task is not None:
        if task not in set(frame.task):
            raise unknown_name(f"task of {name}", task, frame.task.unique())
        frame = frame[frame.task == task]
    if frame.model.duplicated().any():
        model = frame.model[frame.model.duplicated()].iloc[0]
        raise StoreError(
            f"{model} has several values of {name}, for {', '.join(map(repr, frame.task.unique()))}: name one, task=..."
        )
    return frame.set_index("model")["value"]


def chance(chosen_rows: pd.DataFrame) -> float | None:
    """The score that unrelated features reach on average at fixed layers, if all pairs share one.

    k/(n - 1) for mutual k-NN, else the null mean. Held-out scores, which are of half the samples, have the null mean
    that their test gives.
    """
    name, parameters = metric_parameters(chosen_rows.metric.iloc[0])
    held_out = chosen_rows["select"].iloc[0] == "heldout"
    if name == "mutual_knn" and chosen_rows.n.nunique() == 1 and not held_out:
        return int(parameters["k"]) / (int(chosen_rows.n.iloc[0]) - 1)
    means = chosen_rows.null_mean if held_out else chosen_rows.null_mean_fixed
    return float(means.mean()) if means.notna().all() and means.max() - means.min() < 1e-3 else None
