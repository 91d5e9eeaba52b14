"""`platorep basin`: lines between networks trained here, as a table and a figure."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platorep.commands.experiment import Experiment
from platorep.commands.networks import (
    networks_path,
    pictures,
    seeds_of_one_kind,
    shown_and_drawn,
    stored_or_measured,
    threads_of,
    trained_models,
    trained_networks,
)
from platorep.commands.tables import basin_summary
from platorep.core.errors import SpecError, unknown_name
from platorep.core.progress import bar
from platorep.core.specs import ModelSpec
from platorep.results.basin import BasinTable


if TYPE_CHECKING:
    from platorep.merging.basin import Pictures, Trainee, Two

VERSION = 1
"""Version of the table's content; part of its name."""


def basin(experiment: Experiment) -> list[Path]:
    """Trains the networks that are missing, measures the lines between them, and draws the figure.

    Returns:
        The table and the figure's files.

    Raises:
        SpecError: the suite has no two networks of one architecture that are trained here.
        AssetError: their pictures cannot be fetched.
    """
    table = basin_table(experiment)
    return shown_and_drawn(experiment, "basin", table, basin_summary(table), basin_path(experiment))


def basin_path(experiment: Experiment) -> Path:
    """The table's file."""
    settings = dataclasses.asdict(experiment.basin)
    return networks_path(experiment, "basin", version=VERSION, metric=experiment.metrics[0].id, **settings)


def basin_table(experiment: Experiment) -> BasinTable:
    """The table of the configured networks; read from disk if present.

    Raises:
        SpecError, AssetError: as `basin`.
    """
    return stored_or_measured(experiment, basin_path(experiment), BasinTable, _measured)


def _measured(experiment: Experiment) -> BasinTable:
    from platorep.merging.basin import FORK, SEEDS, Pictures, Two
    from platorep.merging.basin import basin as measure
    from platorep.training.trainer import training_of

    models, options = trained_models(experiment), experiment.basin
    matched = [model for model in models if not model.id.startswith("vit")]  # units of a transformer are not matched
    kinds = seeds_of_one_kind(matched, ", among mlp-W and conv-W")
    forks = {shared: _forks(experiment, models, shared) for shared in options.forks}
    specs = [*itertools.chain(*kinds, *forks.values())]
    early = [[_at(model, epoch) for model in kind[:2]] for kind in kinds for epoch in _epochs(options.epochs, kind)]
    halves = _halves(experiment, models)
    pics = Pictures(*pictures(experiment, training_of(models[0]), options.pictures), options.near)
    trainees = _trainees([*specs, *itertools.chain(*early), *halves], pics, experiment)
    pairs = [Two(trainees[a.name], trainees[b.name]) for kind in kinds for a, b in itertools.combinations(kind, 2)]
    pairs += [Two(trainees[a.name], trainees[b.name]) for a, b in early]
    pairs += [_two(trainees, fork[:2], FORK, shared) for shared, fork in forks.items()]
    pairs += [_two(trainees, halves, "halves", 0)] if halves else []
    soups = [(SEEDS, 0, [trainees[model.name] for model in kind]) for kind in kinds]
    soups += [(FORK, shared, [trainees[model.name] for model in fork]) for shared, fork in forks.items()]
    with bar("Joining") as report:
        return measure(
            pairs,
            soups,
            experiment.metrics[0],
            points=options.points,
            seed=experiment.statistics.seed,
            threads=threads_of(experiment),
            dataset=experiment.dataset.name,
            progress=report,
        )


def _trainees(specs: Sequence[ModelSpec], pics: Pictures, experiment: Experiment) -> dict[str, Trainee]:
    """Networks by name, trained first where their weights are missing."""
    from platorep.merging.basin import Trainee
    from platorep.training.networks import parse
    from platorep.training.trainer import training_of

    specs = list({spec.name: spec for spec in specs}.values())
    networks = trained_networks(experiment, specs)
    trainees = {}
    for spec in specs:
        training = training_of(spec)
        epoch = training.epochs if training.stop is None else training.stop
        trainees[spec.name] = Trainee(spec.name, networks[spec.name], parse(spec.id)[1], epoch, pics)
    return trainees


def _two(trainees: dict[str, Trainee], specs: Sequence[ModelSpec], relation: str, shared: int) -> Two:
    from platorep.merging.basin import Two

    return Two(trainees[specs[0].name], trainees[specs[1].name], relation, shared)


def _epochs(epochs: Sequence[int], kind: Sequence[ModelSpec]) -> list[int]:
    """The epochs before the last at which the weights of a kind are kept."""
    from platorep.training.trainer import kept, training_of

    last = training_of(kind[0]).epochs
    return [epoch for epoch in epochs if epoch < last and epoch in kept(last)]


def _at(model: ModelSpec, epoch: int) -> ModelSpec:
    training = model.training
    return model.replace(name=f"{model.name}@{epoch}", training=training and training.replace(stop=epoch))


def _forked(experiment: Experiment, models: Sequence[ModelSpec]) -> ModelSpec:
    name = experiment.basin.forked
    known = {model.name: model for model in models if not model.id.startswith("vit")}
    if name is not None and name not in known:
        raise unknown_name("network in basin.forked", name, known)
    return next(iter(known.values())) if name is None else known[name]


def _forks(experiment: Experiment, models: Sequence[ModelSpec], shared: int) -> list[ModelSpec]:
    """A network and its fork after some epochs; for the last number of epochs two more forks, for a soup of four."""
    from platorep.training.trainer import training_of

    base, forks = _forked(experiment, models), experiment.basin.forks
    training = training_of(base)
    if not 0 <= shared < training.epochs:
        raise SpecError(f"basin.forks has {shared}; {base.name} is trained for {training.epochs} epochs.")
    orders = range(1, 4 if shared == max(forks) else 2)
    names = {order: f"{base.name} fork {order} after {shared}" for order in orders}
    return [base, *(base.replace(name=names[o], training=training.replace(shared=shared, order=o)) for o in orders)]


def _halves(experiment: Experiment, models: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The forked network's twins on disjoint halves of the pictures, with different seeds."""
    if not experiment.basin.forks:
        return []
    base = _forked(experiment, models)
    return [
        base.replace(
            name=f"{base.name} {half} half",
            seed=base.seed + number,
            training=base.training and base.training.replace(pictures=half),
        )
        for number, half in enumerate(("first", "second"))
    ]
