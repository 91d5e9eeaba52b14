"""Published values as data: values of the paper and of replications, with their source and how reliable they are.

Trust is one of these words. "paper": stated in the paper's text, captions or tables. "quoted": printed in a figure of
the paper and taken from others' notes of it. "repeated": measured by others with the paper's recipe. "digitised": read
off the pixels of a figure that others drew. "definition": true by definition.

A relation of "=" is a number to meet. ">" is a direction that the paper claims: the measured value agrees when it lies
above, with its whole interval where it has one. Rows of scope "paper" hold for the paper's models and data only and are
not compared with others; scope "any" is a claim in general.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from platorep.stats.trends import MIN_FAMILIES


TRUST = ("paper", "quoted", "repeated", "digitised", "definition")
COLUMNS = ("figure", "quantity", "x", "y", "relation", "value", "scope", "source", "trust")

COMPARISON = (
    "quantity",
    "x",
    "y",
    "published",
    "measured",
    "low",
    "high",
    "difference",
    "agrees",
    "p",
    "families",
    "source",
    "trust",
    "note",
)
"""Columns of `compare`."""


def targets(figure: str | None = None) -> pd.DataFrame:
    """Published values, one row each, with the columns `COLUMNS`; of one figure, or all."""
    with files("platorep.results").joinpath("published.csv").open(encoding="utf-8") as lines:
        frame = pd.read_csv(lines, keep_default_na=False, dtype={"value": float})
    return frame if figure is None else frame[frame.figure == figure].reset_index(drop=True)


def compare(measured: pd.DataFrame, published: pd.DataFrame, known: set[str]) -> pd.DataFrame:
    """Published and measured values side by side: the columns `COMPARISON`.

    A published value that was not measured has NaN as its measured value; a measured value that was not published has
    an empty text. Rows about models that are not among `known` are left out, and rows of scope "paper" where none of
    the paper's models is. A direction over models "agrees" only with enough families to say so (`MIN_FAMILIES`).

    Args:
        measured: rows of `quantities.measured`.
        published: rows of `targets`.
        known: names of the models that were scored.
    """
    everything = targets()
    papers = {*everything.x, *everything.y} - {""}
    stays = (
        published.x.isin({"", *known})
        & published.y.isin({"", *known})
        & ((published.scope == "any") | bool(papers & known))
    )
    rows = published[stays].merge(
        measured, how="outer", on=["quantity", "x", "y"], suffixes=("_published", ""), sort=False
    )
    is_number = rows.relation == "="
    text = rows.value_published.map("{:g}".format).astype(str)  # also where nothing is published
    rows["published"] = np.where(rows.relation.isna(), "", np.where(is_number, text, rows.relation + " " + text))
    rows["difference"] = (rows.value - rows.value_published).where(is_number)
    rows["agrees"] = np.where((rows.relation == ">") & rows.value.notna(), _agreement(rows), "")
    rows = rows.rename(columns={"value": "measured"})
    rows = rows.sort_values("relation", key=lambda relation: relation.map({">": 0, "=": 1}), kind="stable")
    texts = ["source", "trust", "note"]
    rows[texts] = rows[texts].fillna("")
    return rows[list(COMPARISON)].reset_index(drop=True)


def _agreement(rows: pd.DataFrame) -> np.ndarray:
    """Of directions: yes, no, not surely (the interval does not lie above), or too few families."""
    least = rows.low.fillna(rows.value)
    above = np.where(rows.value > rows.value_published, "not surely", "no")
    above = np.where(least > rows.value_published, "yes", above)
    return np.where(rows.families < MIN_FAMILIES, "too few families", above)
