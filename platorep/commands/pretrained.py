"""Pretrained networks for `platorep stitch`: vision models on labelled pictures, language models on next tokens."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from platorep.commands.experiment import Experiment
from platorep.commands.extract import open_pairs
from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.progress import bar
from platorep.core.specs import ModelSpec
from platorep.data import PairedDataset
from platorep.maps.splits import Split, duplicates, splits


if TYPE_CHECKING:
    from platorep.models.vision import TimmEncoder
    from platorep.stitching.sides import Parts, Receiver, Sender
    from platorep.training.pictures import Labelled

log = logging.getLogger(__name__)

LEAST = 5
"""Least number of pictures of a class to fit on; rarer classes are left out."""

SOURCES = {"vision": "timm", "language": "transformers"}
"""Sources of networks whose layers can be replaced, by modality."""


def pretrained_pairs(experiment: Experiment) -> list[tuple[Sender, Receiver]]:
    """All ordered pairs of the pretrained networks of a modality, and the controls, which the first one receives.

    Networks with random weights are controls. With `stitching.receivers`, only those named receive.

    Raises:
        SpecError: the suite has no two networks of a modality that can be stitched, or tokenizers differ.
        DataError: the pictures have no categories, or texts are too few.
    """
    groups = _groups(experiment)
    dataset = open_pairs(experiment)
    pairs: list[tuple[Sender, Receiver]] = []
    for modality, models in groups.items():
        # no picture occurs twice in a dataset, and different pictures of a class may share a caption
        views = dataset.samples.ids if modality == "vision" else [texts[0] for texts in dataset.samples.captions]
        split = splits(duplicates(views), 1, experiment.statistics.seed)[0]
        build = _language if modality == "language" else _vision
        with bar("Loading") as report:
            receivers = []
            for number, model in enumerate(models):
                report(number, len(models), model.name)
                receivers.append(build(experiment, model, dataset, split))
        pairs += _paired(experiment, models, receivers)
    return pairs


def _groups(experiment: Experiment) -> dict[str, list[ModelSpec]]:
    """Models that can be stitched, by modality: two or more, the first of which is no control."""
    able: dict[str, list[ModelSpec]] = {}
    for model in experiment.models:
        if SOURCES.get(model.modality) == model.source:
            able.setdefault(model.modality, []).append(model)
    names = {model.name: model for models in able.values() for model in models if model.weights == "pretrained"}
    for name in experiment.stitching.receivers or ():
        if name not in names:
            raise unknown_name("network in stitching.receivers", name, names)
    wanted = experiment.stitching.receivers or list(names)
    several = {
        modality: sorted(models, key=lambda model: (model.weights != "pretrained", model.name not in wanted))
        for modality, models in able.items()
        if len(models) > 1 and any(model.name in wanted for model in models)
    }
    if not several:
        raise SpecError(
            "the suite has no two networks of one modality that can be stitched: networks trained here "
            "(suite=fashion), models of timm, or causal language models of transformers."
        )
    return several


def _paired(
    experiment: Experiment, models: Sequence[ModelSpec], receivers: Sequence[Receiver]
) -> list[tuple[Sender, Receiver]]:
    from platorep.stitching.sides import NOISE, PIXELS, RANDOM, SELF, Sender, class_noise, layers_of, pictures_as_layer

    wanted = experiment.stitching.receivers or [model.name for model in models if model.weights == "pretrained"]
    first, parts = receivers[0], receivers[0].parts
    if others := [y.name for y in receivers if not torch.equal(y.parts.fit.labels, parts.fit.labels)]:
        raise SpecError(
            f"{', '.join(others)}: the tokenizer divides the texts otherwise than that of {first.name}, so that layers "
            "have no tokens in common. Stitch language models of one tokenizer at a time (only=...)."
        )
    whole = [y for model, y in zip(models, receivers, strict=True) if model.weights == "pretrained"]
    pairs = [(x.sender, y) for x in whole for y in whole if x is not y and y.name in wanted]
    shapes = [tuple(states[0].shape[1:]) for states in first.sender.states]
    noise = partial(class_noise, shapes, len(parts.fit.classes), experiment.statistics.seed)
    pairs.append((Sender(first.name, partial(layers_of, first.network), parts, SELF, first.network.names), first))
    pairs.append((Sender("noise by class", noise, parts, NOISE), first))
    if models[0].modality == "vision" and first.sender.states[0][0].ndim == 4:
        pixels = partial(pictures_as_layer, first.sender.states[0][0])
        pairs.append((Sender("pixels", pixels, parts, PIXELS), first))
    for model, receiver in zip(models, receivers, strict=True):
        if model.weights == "random":
            layers = partial(layers_of, receiver.network)
            pairs.append((Sender(model.name, layers, receiver.parts, RANDOM, receiver.network.names), first))
    return pairs


def _language(experiment: Experiment, model: ModelSpec, dataset: PairedDataset, split: Split) -> Receiver:
    from platorep.core.resources import pick_device
    from platorep.models import load, resolve
    from platorep.models.language import LanguageEncoder
    from platorep.stitching.pretrained import language_network, text_blocks
    from platorep.stitching.sides import Parts, Receiver

    device = pick_device(experiment.resources.device)
    encoder = cast(LanguageEncoder, load(resolve(model, device), device))
    network = language_network(encoder)
    captions = dataset.samples.captions
    texts = ([captions[i][0] for i in places] for places in (split.fit, split.select, split.test))
    fit, select, test = (text_blocks(encoder, part) for part in texts)
    most = torch.arange(experiment.stitching.pictures)
    parts = Parts(fit.part(most[: len(fit)]), select, test.part(most[: len(test)]))
    return Receiver(model.name, network, 0, parts)


def _vision(experiment: Experiment, model: ModelSpec, dataset: PairedDataset, split: Split) -> Receiver:
    from platorep.core.resources import pick_device
    from platorep.models import load, resolve
    from platorep.models.vision import TimmEncoder
    from platorep.stitching.pretrained import classified, vision_network
    from platorep.stitching.sides import Receiver

    device = pick_device(experiment.resources.device)
    encoder = cast(TimmEncoder, load(resolve(model, device), device))
    network = vision_network(encoder)
    parts = _labelled(encoder, dataset, split, experiment.stitching.pictures)
    classified(network, parts.fit, parts.select)
    return Receiver(model.name, network, 0, parts)


def _labelled(encoder: TimmEncoder, dataset: PairedDataset, split: Split, most: int) -> Parts:
    """The pictures as a network sees them, with their categories; classes of fewer than `LEAST` are left out."""
    from platorep.stitching.sides import Parts
    from platorep.training.pictures import Labelled

    categories = dataset.samples.categories
    if categories is None:
        raise DataError(
            f"dataset {dataset.spec.name!r} has no categories, which a stitched vision model is to tell apart. Set "
            "dataset.columns.category, or stitch language models alone (only=...)."
        )
    counts = Counter(categories[i] for i in split.fit[:most])
    classes = sorted(name for name, count in counts.items() if count >= LEAST)
    if len(classes) < 3:
        raise DataError(
            f"{len(classes)} categories of {dataset.spec.name} have {LEAST} of {len(split.fit[:most])} pictures to fit "
            "on; expected three or more. Take more pictures (dataset.n, stitching.pictures)."
        )
    places = {name: place for place, name in enumerate(classes)}

    def part(samples: np.ndarray) -> Labelled:
        kept = [int(i) for i in samples if categories[i] in places]
        pictures = torch.stack([cast(torch.Tensor, encoder.transform(dataset.picture(i))) for i in kept])
        return Labelled(pictures, torch.tensor([places[categories[i]] for i in kept]), classes)

    return Parts(part(split.fit[:most]), part(split.select), part(split.test[:most]))
