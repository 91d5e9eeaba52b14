"""Cross-entropy and accuracy of networks trained here, on labelled pictures of the classes that they know."""

from __future__ import annotations

import logging
import math

from torch.nn import functional

from platorep.competence.rows import row, table
from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.results.tables import CompetenceTable
from platorep.training.networks import batched
from platorep.training.pictures import Library
from platorep.training.trainer import one_thread, trained, training_of


log = logging.getLogger(__name__)

VERSION = 1
"""Incremented when the same network and pictures give other numbers; part of the name of stored results."""


def classified(model: ModelSpec, dataset: DatasetSpec, library: Library) -> CompetenceTable:
    """How a network classifies a dataset: cross_entropy, -log p(class) in nats per picture, and accuracy in [0, 1].

    Args:
        model: of source=trained.
        dataset: pictures with categories; those that the network was trained on give its training loss.
        library: datasets that several networks share.

    Returns:
        Two rows with the standard errors of the means over pictures. None, which is logged, where the dataset has no
        categories, or others than those that the network was trained on.

    Cost: one forward pass over the pictures, on one thread.
    """
    training = training_of(model)
    learned = library.labelled(training.dataset, training.side, training.channels)
    try:
        test = library.labelled(dataset, training.side, training.channels)
    except DataError as error:
        log.info("%s: no cross-entropy: %s", model.name, error)
        return table([])
    if test.classes != learned.classes:
        log.info("%s: no cross-entropy, because %s has other classes", model.name, dataset.name)
        return table([])
    network = trained(model, library=library)
    with one_thread():
        logits = batched(network, test.inputs).double()
    losses = functional.cross_entropy(logits, test.labels, reduction="none")
    right = (logits.argmax(1) == test.labels).double()
    task = f"classes of {dataset.name} ({len(test)})"
    measures = {"cross_entropy": losses, "accuracy": right}
    return table(
        row(model, name, float(values.mean()), error=float(values.std()) / math.sqrt(len(test)), task=task)
        for name, values in measures.items()
    )
