"""What the commands of trained networks share: their specs, their pictures, and the paths of their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platorep.commands.experiment import Experiment
from platorep.core.digest import digest
from platorep.core.errors import SpecError
from platorep.core.files import slug
from platorep.core.specs import DatasetSpec, ModelSpec, TrainingSpec


if TYPE_CHECKING:
    from pathlib import Path

    from platorep.training.pictures import Labelled


def trained_models(experiment: Experiment) -> list[ModelSpec]:
    """The suite's networks that are trained here, in its order.

    Raises:
        SpecError: there are none, they learn from different pictures, or the test pictures are among those.
    """
    from platorep.training.trainer import training_of

    models = [model for model in experiment.models if model.source == "trained"]
    if not models:
        raise SpecError(
            "no network of the suite is trained here (source: trained), so that its weights cannot be compared. "
            "Take suite=fashion."
        )
    learned = [_seen_by(training_of(model)) for model in models]
    if different := [model.name for model, one in zip(models, learned, strict=True) if one != learned[0]]:
        raise SpecError(
            f"{models[0].name} and {different[0]} learn from different pictures; expected one dataset, side and number "
            "of channels for all networks. Leave some out (only=...)."
        )
    if learned[0][0] == _content(experiment.dataset):
        raise SpecError(
            f"dataset {experiment.dataset.name} holds the pictures that the networks are trained on; expected others, "
            "as in dataset.split=test."
        )
    return models


def pictures(experiment: Experiment, training: TrainingSpec, most: int) -> tuple[Labelled, Labelled, Labelled]:
    """Training pictures (the first `most` of a fixed random order), held-out ones, and the dataset of the experiment.

    Raises:
        SpecError: the test pictures have other classes.
        AssetError: pictures cannot be fetched.
    """
    from platorep.training.pictures import labelled_pictures, split

    learned = labelled_pictures(training.dataset, training.side, training.channels)
    fit, held = split(len(learned))
    test = labelled_pictures(experiment.dataset, training.side, training.channels)
    if test.classes != learned.classes:
        raise SpecError(
            f"dataset {experiment.dataset.name} has classes {', '.join(test.classes)}; the networks were trained on "
            f"{', '.join(learned.classes)}."
        )
    return learned.part(fit[:most]), learned.part(held), test


def networks_path(experiment: Experiment, command: str, **settings: Any) -> Path:
    """The file of a table: ROOT/COMMAND/DATASET/SUITE--DATASET--CODE.parquet, with a hash of all that determines it."""
    from platorep.training.trainer import version

    models = [[model.name, model.identity()] for model in experiment.models]
    seed, data = experiment.statistics.seed, experiment.dataset.identity()
    code = digest({"models": models, "dataset": data, "seed": seed, "trainer": version(), **settings})
    return experiment.root / command / slug(experiment.dataset.name) / f"{slug(experiment.name)}--{code}.parquet"


def _seen_by(training: TrainingSpec) -> tuple[Any, int, int]:
    return _content(training.dataset), training.side, training.channels


def _content(dataset: DatasetSpec) -> Any:
    """What decides which pictures a dataset holds, but their number and order."""
    return dataset.replace(n=None, order_seed=None, on_bad_sample="error").identity()
