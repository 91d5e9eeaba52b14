"""Pairs of models of which at least one is a checkpoint of a training, by what it is compared with."""

from __future__ import annotations

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError


SAME, LAST, ITSELF = "at the same step", "with another's last", "with its own last"
"""Comparisons of checkpoints; the others are "with NAME", a model without a step."""

_FACTS = ("model", "family", "step", "trajectory")


def checkpoint_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """One row per checkpoint and what it is compared with, from either side of the pairs.

    `comparison` is SAME for two trainings at the same step (one row for both), LAST for a checkpoint and the last one
    of another training, ITSELF for a checkpoint and the last one of its own training, and "with NAME" for a model
    without a step. Other pairs are left out. A checkpoint without a trajectory belongs to that of its family.

    Args:
        pairs: rows of `views.pairs` with the facts of the models.

    Returns:
        comparison; series, the families of both in words ("a", "a – b", "a → b"); model, family, step and trajectory of
        the checkpoint, and the same of the other with other_; score, low, high, null_mean. Under SAME and LAST, family
        is empty where it differs from that of the other training.

    Raises:
        StoreError: no model has a step, or two models are the same step of one training.
    """
    sides = []
    for own, other in (("x", "y"), ("y", "x")):
        names = {f"{own}_{fact}": fact for fact in _FACTS} | {f"{other}_{fact}": f"other_{fact}" for fact in _FACTS}
        part = pairs.rename(columns=names)[[*names.values(), "score", "low", "high", "null_mean"]]
        sides.append(part.assign(first=own == "x"))
    rows = pd.concat(sides, ignore_index=True)
    rows = rows[rows.step.notna()]
    if rows.empty:
        raise StoreError(
            "no model has a training step. Add checkpoints: revisions or stops in an entry of the suite "
            "(suite=pythia_steps, suite=fashion_steps)."
        )
    for side in ("", "other_"):
        named = rows[f"{side}trajectory"] != ""
        rows[f"{side}trajectory"] = rows[f"{side}trajectory"].where(named, rows[f"{side}family"])
        rows[f"{side}family"] = rows[f"{side}family"].where(rows[f"{side}family"] != "", rows[f"{side}trajectory"])
    last = _last_steps(rows)
    others_last = rows.other_step == rows.other_trajectory.map(last)
    itself = rows.trajectory == rows.other_trajectory
    both = rows.other_step.notna()
    kinds = {
        SAME: both & ~itself & (rows.step == rows.other_step) & rows["first"],
        LAST: both & ~itself & others_last,
        ITSELF: both & itself & others_last & (rows.step != rows.other_step),
    }
    parts = [rows[chosen].assign(comparison=kind) for kind, chosen in kinds.items()]
    parts.append(rows[~both].assign(comparison="with " + rows.other_model))
    table = pd.concat(parts, ignore_index=True).drop(columns="first")
    table["series"] = [_series(*row) for row in zip(table.comparison, table.family, table.other_family, strict=True)]
    mixed = table.comparison.isin([SAME, LAST]) & (table.family != table.other_family)
    return table.assign(family=table.family.mask(mixed, ""))


def _last_steps(rows: pd.DataFrame) -> pd.Series:
    """The last step of every training.

    Raises:
        StoreError: two models are the same step of one training.
    """
    models = rows[["model", "trajectory", "step"]].drop_duplicates()
    if (again := models[models.duplicated(["trajectory", "step"], keep=False)]).size:
        one, two = again.sort_values(["trajectory", "step"], kind="stable").iloc[:2].itertuples()
        raise StoreError(
            f"{one.model} and {two.model} are both step {one.step:g} of {one.trajectory or 'one training'}. Give the "
            "checkpoints of each training a trajectory of their own in the suite, or list them in one entry "
            "(revisions, stops)."
        )
    return models.groupby("trajectory").step.max()


def _series(comparison: str, family: str, other: str) -> str:
    if comparison == SAME:
        return " – ".join(sorted((family, other)))
    return f"{family} → {other}" if comparison == LAST else family


def courses(rows: pd.DataFrame, by: str = "step") -> pd.DataFrame:
    """Mean scores over the trainings of a series, by comparison, series and step.

    Args:
        rows: of `checkpoint_pairs`.
        by: the column whose mean is the position, `x`.

    Returns:
        comparison, series, family, step, x, score, pairs (their number), and low and high: the lowest and the
        highest end of the pairs' intervals, NaN unless all have one.
    """
    grouped = rows.groupby(["comparison", "series", "family", "step"], sort=False)
    table = grouped.agg(x=(by, "mean"), score=("score", "mean"), pairs=("score", "size"), known=("low", "count"))
    table = table.assign(low=grouped.low.min(), high=grouped.high.max()).reset_index()
    without = table.known < table.pairs
    table.loc[without, ["low", "high"]] = np.nan
    return table.drop(columns="known")
