"""`platorep captions`: a dataset whose captions are summaries."""

from __future__ import annotations

import logging
from pathlib import Path

from platorep.commands.experiment import Experiment
from platorep.commands.extract import open_pairs
from platorep.core.files import slug
from platorep.core.progress import bar
from platorep.core.specs import ModelSpec


log = logging.getLogger(__name__)


def captions(experiment: Experiment) -> Path:
    """Writes a folder dataset whose captions are summaries of the dataset's, and logs how to extract it.

    Returns:
        The folder.
    """
    from platorep.data.summaries import Decoding, summarise
    from platorep.models import resolve

    options, device = experiment.captions, experiment.device
    model = resolve(ModelSpec.from_dict(options.model), device)
    pairs = open_pairs(experiment)
    folder = experiment.root / "captions" / f"{slug(pairs.spec.name)}--{slug(model.name)}"
    decoding = Decoding(batch=options.batch, temperature=options.temperature, seed=options.seed)
    with bar("Summarising") as report:
        summarise(model, pairs, options.words, folder, decoding=decoding, device=device, progress=report)
    log.info("%s: dataset=folder dataset.id=%s dataset.columns.text=words_%d", folder, folder, options.words[0])
    return folder
