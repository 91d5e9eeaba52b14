"""The inputs of a page, and the scores of a run as one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
from PIL import Image

from platorep.core.clamp import Clamp
from platorep.core.errors import StoreError
from platorep.core.samples import Samples
from platorep.core.sounds import Sound
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureSet
from platorep.metrics.base import Metric
from platorep.results import views
from platorep.results.brains import BrainTable
from platorep.results.labels import metric_label
from platorep.results.protocols import chosen
from platorep.results.rises import Rise, rise
from platorep.results.tables import AlignmentTable, CompetenceTable, SelectionTable
from platorep.results.translation import TranslationTable
from platorep.results.units import ShareTable, UnitTable


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
"""Columns that belong to a score; NaN if the run was not tested."""


@dataclass(frozen=True)
class Run:
    """The inputs of one page.

    Args:
        name: name of the run, for messages.
        suite: name of the suite.
        dataset: spec of the dataset.
        samples: ids, captions and categories of the pairs.
        picture: decodes the picture of a sample by its index.
        sound: decodes the sound of a sample by its index; None in runs without sounds.
        features: features of the models, in the suite's order.
        metrics: configured metrics in order; the first with neighbours sets the explorer's k and similarity.
        alignment: scores of all layer pairs, with the facts of the models.
        selection: tested scores of the chosen layers.
        select: how the protocol chooses layers: max, heldout, last, depth:0.5.
        competence: competence table of the models.
        translation: scores of maps between the models.
        figures: PNG files by figure.
        missing: models of the suite that have no features.
        words: command-line overrides of the run.
        configuration: the resolved configuration as text.
        clamp: clamp of the features.
        memory: memory budget for layers in bytes.
        units: shares of matched units, and every unit with its partners; None if units were not matched.
        brains: similarity of the models to brains; None if it was not computed.
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
    select: str = "max"
    competence: CompetenceTable | None = None
    translation: TranslationTable | None = None
    figures: Mapping[str, Path] = field(default_factory=dict)
    missing: Sequence[str] = ()
    words: Sequence[str] = ()
    configuration: str = ""
    clamp: Clamp = field(default_factory=Clamp)
    memory: int = 3 * 10**9
    units: tuple[ShareTable, UnitTable] | None = None
    brains: BrainTable | None = None
    sound: Callable[[int], Sound] | None = None

    @property
    def holds(self) -> str:
        """The parts of a sample in words, such as "a picture and a caption"."""
        samples = self.samples
        there = {
            "a picture": samples.pictures is None or any(samples.pictures),
            "a caption": any(samples.captions),
            "a sound": bool(samples.sounds),
        }
        *first, last = (name for name, has in there.items() if has)
        return f"{', '.join(first)} and {last}" if first else last

    @cached_property
    def models(self) -> list[str]:
        """Names of the scored models, in the suite's order."""
        scored = {*self.alignment.frame.x_model, *self.alignment.frame.y_model}
        return [features.name for features in self.features if features.name in scored]

    @cached_property
    def by_name(self) -> dict[str, FeatureSet]:
        """Features by the model's name."""
        return {features.name: features for features in self.features}

    @cached_property
    def scored(self) -> list[Metric]:
        """The configured metrics that have scores."""
        there = set(self.pairs.metric)
        return [metric for metric in self.metrics if metric.id in there]

    @cached_property
    def neighbour_metric(self) -> Metric | None:
        """The first scored metric that has neighbours."""
        return next((metric for metric in self.scored if metric.neighbourhood is not None), None)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """One row per pair of models and metric: the layers that the protocol chooses, their score, and its test.

        Columns of the test are NaN if the run has none.
        """
        keys = ["metric", "x_model", "y_model"]
        rows = chosen(self.alignment, self.select, self.selection)
        metrics = [metric.id for metric in self.metrics]
        rows = rows[rows.metric.isin(metrics) & rows.x_model.isin(self.models) & rows.y_model.isin(self.models)]
        # the null of fixed layers does not account for the choice of layers
        nulls = ["null_mean", "null_sd", "p_value", "corrected"]
        rows = rows.assign(**{name: rows[name].where(rows.tested) for name in nulls})
        order = {"metric": metrics, "x_model": self.models, "y_model": self.models}
        places = {f"_{key}": rows[key].map({name: i for i, name in enumerate(order[key])}) for key in keys}
        rows = rows.assign(**places).sort_values([*places], kind="stable")
        return rows.drop(columns=[*places]).reset_index(drop=True)

    @cached_property
    def rises(self) -> dict[str, Rise]:
        """Whether alignment rises with 1 - bits per byte, by the label of the metric."""
        if self.competence is None or "bits_per_byte" not in set(self.competence.frame.measure):
            return {}
        try:
            bits = views.measure(self.competence, "bits_per_byte")
        except StoreError as error:  # values of several corpora: a figure has an option to choose one
            return {"": Rise(None, f"{error}")}
        rises = {}
        for metric in self.scored:
            rows = self.pairs[self.pairs.metric == metric.id]
            if {"language", "vision"} <= {*rows.x_modality, *rows.y_modality}:
                rises[metric_label(metric.id)] = rise(views.cross_modal(rows), views.models(rows), -bits)
        return rises
