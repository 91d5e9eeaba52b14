"""What the commands of trained networks share: their specs, their pictures, and the paths of their tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.table import Table as Shown

from platorep.commands.drawing import draw_results
from platorep.commands.experiment import Experiment
from platorep.core.digest import digest
from platorep.core.errors import SpecError
from platorep.core.files import slug
from platorep.core.progress import bar, console_for_tables
from platorep.core.specs import DatasetSpec, ModelSpec, TrainingSpec
from platorep.results.tables import Table


if TYPE_CHECKING:
    from platorep.training.networks import Network
    from platorep.training.pictures import Labelled

log = logging.getLogger(__name__)

T = TypeVar("T", bound=Table)


def shown_and_drawn(experiment: Experiment, figure: str, table: Any, summary: Shown, path: Path) -> list[Path]:
    """Prints the summary of a table, draws its figure, and returns the table's file and those of the figure."""
    from platorep.figures.data import FigureData

    console_for_tables().print(summary)
    log.info("%s", path)
    return [path, *draw_results(experiment, [figure], FigureData(**{figure: table}))]


def stored_or_measured(experiment: Experiment, path: Path, kind: type[T], measure: Callable[[Experiment], T]) -> T:
    """The table of a file; measured and written if there is none, or with overwrite=true."""
    if path.is_file() and not experiment.overwrite:
        return kind.load([path])
    table = measure(experiment)
    table.write(path)
    return table


def threads_of(experiment: Experiment) -> int:
    """Number of networks or pairs at a time: compute.threads, or as many as torch would use."""
    import torch

    return experiment.resources.threads or torch.get_num_threads()


def trained_networks(experiment: Experiment, specs: Sequence[ModelSpec]) -> dict[str, Network]:
    """Networks by the name of their model, trained first where their weights are missing."""
    from platorep.training.trainer import train_all

    with bar("Training") as report:
        networks = train_all(specs, threads=threads_of(experiment), report=report)
    return {spec.name: network for spec, network in zip(specs, networks, strict=True)}


def seeds_of_one_kind(models: Iterable[ModelSpec], purpose: str) -> list[list[ModelSpec]]:
    """Networks that differ in their seed alone, two or more.

    Raises:
        SpecError: there are none; the message names the purpose.
    """
    kinds: dict[str, list[ModelSpec]] = {}
    for model in models:
        kinds.setdefault(model.replace(seed=0).key(), []).append(model)
    several = [kind for kind in kinds.values() if len(kind) > 1]
    if not several:
        raise SpecError(
            f"no two networks of the suite differ in their seed alone{purpose}. Add some, or take suite=fashion."
        )
    return several


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
