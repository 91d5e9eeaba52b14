"""`platorep stitch`: layers of one network in the place of layers of another, as a table and a figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
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
from platorep.commands.pretrained import pretrained_pairs
from platorep.commands.tables import stitching_summary
from platorep.core.errors import unknown_name
from platorep.core.progress import bar
from platorep.core.specs import ModelSpec
from platorep.results.stitching import StitchingTable


if TYPE_CHECKING:
    from platorep.stitching.sides import Parts, Receiver, Sender
    from platorep.training.networks import Network

VERSION = 2
"""Version of the table's content; part of its name."""

SELECT = 1000
"""Held-out pictures on which the penalty of a ridge is chosen."""


def stitch(experiment: Experiment) -> list[Path]:
    """Trains the networks that are missing, stitches their layers, and draws the figure.

    Returns:
        The table and the figure's files.

    Raises:
        SpecError: the suite has no two networks of one kind that are trained here.
        AssetError: their pictures cannot be fetched.
    """
    table = stitching_table(experiment)
    return shown_and_drawn(experiment, "stitching", table, stitching_summary(table), stitching_path(experiment))


def stitching_path(experiment: Experiment) -> Path:
    """The table's file."""
    return networks_path(experiment, "stitching", version=VERSION, **dataclasses.asdict(experiment.stitching))


def stitching_table(experiment: Experiment) -> StitchingTable:
    """The table of the configured networks; read from disk if present.

    Raises:
        SpecError, AssetError: as `stitch`.
    """
    return stored_or_measured(experiment, stitching_path(experiment), StitchingTable, _measured)


def _measured(experiment: Experiment) -> StitchingTable:
    from platorep.stitching.stitch import stitch as measure

    trained = any(model.source == "trained" for model in experiment.models)
    pairs = _trained_pairs(experiment) if trained else pretrained_pairs(experiment)
    with bar("Stitching") as report:
        return measure(
            pairs,
            epochs=experiment.stitching.epochs,
            rows=experiment.stitching.rows,
            corresponding=not trained,
            seed=experiment.statistics.seed,
            threads=threads_of(experiment),
            dataset=experiment.dataset.name,
            progress=report,
        )


def _trained_pairs(experiment: Experiment) -> list[tuple[Sender, Receiver]]:
    """The pairs of networks trained here, and their controls."""
    import torch

    from platorep.stitching.sides import Parts
    from platorep.training.trainer import training_of

    models, options = trained_models(experiment), experiment.stitching
    kinds = _kinds(models, options.receivers)
    unrelated = [model for model in models if _task(model) != ("true", "all")]
    untrained = [kind[0].replace(name=f"{kind[0].name} random", weights="random") for kind in kinds]
    specs = [*(model for kind in kinds for model in kind), *unrelated, *untrained]
    known = trained_networks(experiment, specs)
    fit, held, test = pictures(experiment, training_of(models[0]), options.pictures)
    drawn = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[: options.pictures].sort().values
    parts = Parts(fit, held.part(torch.arange(min(SELECT, len(held)))), test.part(drawn))
    return [
        pair for kind, random in zip(kinds, untrained, strict=True)
        for pair in _pairs(kind, [random, *unrelated], known, parts, experiment.statistics.seed)
    ]  # fmt: skip


def _pairs(
    kind: Sequence[ModelSpec], others: Sequence[ModelSpec], known: dict[str, Network], parts: Parts, seed: int
) -> list[tuple[Sender, Receiver]]:
    """All ordered pairs of the networks of a kind, and the controls, which the first network receives."""
    from platorep.stitching.sides import (
        NOISE,
        PIXELS,
        RANDOM,
        SELF,
        UNRELATED,
        Receiver,
        Sender,
        class_noise,
        layers_of,
        pictures_as_layer,
    )
    from platorep.training.networks import parse

    receivers = [Receiver(spec.name, known[spec.name], parse(spec.id)[1], parts) for spec in kind]
    pairs = [(x.sender, y) for x in receivers for y in receivers if x is not y]
    first = receivers[0]
    shapes = [tuple(states[0].shape[1:]) for states in first.sender.states]
    noise = partial(class_noise, shapes, len(parts.fit.classes), seed)
    pixels = partial(pictures_as_layer, first.sender.states[0][0])
    pairs.append((Sender(first.name, partial(layers_of, first.network), parts, SELF), first))
    pairs.append((Sender("noise by class", noise, parts, NOISE), first))
    pairs.append((Sender("pixels", pixels, parts, PIXELS), first))
    for spec in others:
        if parse(spec.id)[0] == parse(kind[0].id)[0]:
            control = RANDOM if spec.weights == "random" else UNRELATED
            pairs.append((Sender(spec.name, partial(layers_of, known[spec.name]), parts, control), first))
    return pairs


def _task(model: ModelSpec) -> tuple[str, str]:
    from platorep.training.trainer import training_of

    training = training_of(model)
    return training.labels, training.classes


def _kinds(models: Sequence[ModelSpec], receivers: Sequence[str] | None) -> list[list[ModelSpec]]:
    """Networks that learned the task and differ in their seed alone, two or more; only those named, if any are.

    Raises:
        UnknownNameError: a name that the suite does not have.
        SpecError: there are no two.
    """
    able = {model.name: model for model in models if _task(model) == ("true", "all")}
    for name in receivers or ():
        if name not in able:
            raise unknown_name("network in stitching.receivers", name, able)
    receiving = [model for name, model in able.items() if receivers is None or name in receivers]
    return seeds_of_one_kind(receiving, ": there is nothing to stitch")
