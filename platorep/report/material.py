"""What a page is made of, and the scores of a run as one table, however they were chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from platorep.core.results import AlignmentTable, CompetenceTable, SelectionTable
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureSet
from platorep.metrics.base import Metric


TESTED = (
    "low",
    "high",
    "null_mean",
    "null_low",
    "null_high",
    "p_value",
    "p_family",
    "q_value",
    "p_floor",
    "corrected",
    "permutations",
)
"""Columns of the selection table that stand beside a score; missing where the run was not tested."""


@dataclass(frozen=True)
class Run:
    """The material of one page.

    `picture` decodes the picture of a sample by its index. `metrics` has the configured metrics in order; the first one
    with neighbours sets the explorer's k and similarity. `figures` maps names of figures to PNG files. `missing` names
    models of the suite that have no features. `words` are the command-line words that the run was made with, and
    `configuration` is the resolved configuration as text.
    """

    name: str
    suite: str
    dataset: DatasetSpec
    samples: Samples
    picture: Callable[[int], Image.Image]
    features: Sequence[FeatureSet]
    metrics: Sequence[Metric]
    alignment: AlignmentTable
    selection: SelectionTable | None = None
    competence: CompetenceTable | None = None
    figures: Mapping[str, Path] = field(default_factory=dict)
    missing: Sequence[str] = ()
    words: Sequence[str] = ()
    configuration: str = ""
    clip: Any = "exact"
    quantile: float = 0.95
    memory: int = 3 * 10**9

    @cached_property
    def models(self) -> list[str]:
        """Names of the scored models, in the suite's order."""
        scored = {*self.alignment.frame.x_model, *self.alignment.frame.y_model}
        return [one.name for one in self.features if one.name in scored]

    @cached_property
    def by_name(self) -> dict[str, FeatureSet]:
        """Features by the model's name."""
        return {one.name: one for one in self.features}

    @cached_property
    def scored(self) -> list[Metric]:
        """The configured metrics that there are scores of."""
        there = set(self.pairs.metric)
        return [one for one in self.metrics if one.id in there]

    @cached_property
    def neighbour_metric(self) -> Metric | None:
        """The first of them that has neighbours."""
        return next((one for one in self.scored if one.neighbourhood), None)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row a pair of models and metric: layers as the protocol chose them, score, and its test where there is one.

        A run without a selection table has the best layer pair of each, and NaN for what only a test tells.
        """
        keys = ["metric", "x_model", "y_model"]
        if self.selection is not None:
            chosen = self.selection.frame
        else:
            chosen = self.alignment.best().assign(select="max", interval="")
            chosen = chosen.drop(columns=["null_mean", "null_sd", "p_value", "corrected"]).reindex(
                columns=[*SelectionTable.columns]
            )
        metrics = [one.id for one in self.metrics]
        chosen = chosen[
            chosen.metric.isin(metrics) & chosen.x_model.isin(self.models) & chosen.y_model.isin(self.models)
        ]
        order = {"metric": metrics, "x_model": self.models, "y_model": self.models}
        places = {f"_{key}": chosen[key].map({name: i for i, name in enumerate(order[key])}) for key in keys}
        return (
            chosen.assign(**places).sort_values([*places], kind="stable").drop(columns=[*places]).reset_index(drop=True)
        )
