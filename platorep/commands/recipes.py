"""What an experiment adds to its stages: linear probes, and the recipes of `platorep reproduce`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from platorep.core.specs import DatasetSpec, ModelSpec, TaskSpec


@dataclass(frozen=True)
class Probe:
    """Linear probes: their name, the layer that they read, and their tasks."""

    name: str
    layer: str
    tasks: tuple[TaskSpec, ...]


@dataclass(frozen=True)
class Variant:
    """A dataset with other captions than the experiment's or with sounds, or read otherwise, and its models.

    Attributes:
        dataset: what is read, seen or heard.
        words: number of words per caption, where captions are cut or summarised.
        modality: of the models that are run on it.
        models: names of those models; None for all of the modality.
        reading: how they read a sample, where it differs from the experiment: fields of ExtractSpec.
    """

    dataset: DatasetSpec
    words: float | None = None
    modality: str = "language"
    models: Sequence[str] | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, model: ModelSpec) -> bool:
        """Whether a model is run on it."""
        return model.modality == self.modality and (self.models is None or model.name in self.models)


@dataclass(frozen=True)
class Recipe:
    """What `platorep reproduce` adds to the stages.

    Attributes:
        name: name of the folder of its results.
        variants: datasets whose language features are scored against the experiment's vision features, or are passed to
            the experiment of `study`.
        shuffles: number of seeds for shuffled pairs; 0 scores the intact pairs.
        galleries: sizes of nested random samples on which the first metric is scored as well.
        datasets: other datasets on which the same pairs of models are scored.
        study: options of the experiment in `platorep.studies` that the figure shows.
        tests: whether the figure shows nulls and intervals.
    """

    name: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    shuffles: int = 0
    galleries: Sequence[int] = ()
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)
    tests: bool = False
