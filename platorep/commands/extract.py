"""`platorep extract`: features of every model of the suite."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any

from platorep.commands.experiment import Experiment
from platorep.commands.failures import Failure, failure, raise_failures
from platorep.core.progress import bar
from platorep.core.specs import ExtractSpec, ModelSpec


if TYPE_CHECKING:
    from platorep.data import PairedDataset

log = logging.getLogger(__name__)


def extract(experiment: Experiment) -> None:
    """Extracts what is missing.

    Raises:
        PlatorepError: the pairs cannot be opened, or models failed; the others are done.
    """
    raise_failures(extract_models(experiment))


def extract_models(experiment: Experiment) -> list[Failure]:
    """Extracts every model that is not in the store; one that fails does not stop the others.

    While one model computes, the next one's weights are fetched and read ahead, unless `evict` keeps the disk to one
    model at a time.

    Returns:
        The models that could not be extracted.
    """
    from platorep.models import evict

    pairs = open_pairs(experiment)
    experiment.store.write_samples(pairs.spec, pairs.samples)
    pending, failures = missing_extractions(experiment, pairs)
    coming: list[Thread] = []
    for number, spec in enumerate(pending, 1):
        later = pending[number:]
        ahead = None if experiment.evict else next((s.model for s in later if _weights(s) != _weights(spec)), None)
        try:
            with bar(f"[{number}/{len(pending)}] {spec.model.name}") as report:
                while coming:
                    coming.pop().join()
                path = extract_one(experiment, spec, pairs, ahead, coming, report)
        except Exception as error:
            failures.append(failure(spec.model.name, error))
        else:
            log.info("%s: extracted to %s", spec.model.name, path)
        if experiment.evict and not any(_weights(s) == _weights(spec) for s in later):
            evict(spec.model)
    return failures


def open_pairs(experiment: Experiment) -> PairedDataset:
    """Opens the dataset, with a progress bar; its check is spared where an earlier run stored the samples."""
    from platorep.data import open_dataset

    with bar("Opening the pairs") as report:
        return open_dataset(experiment.dataset, known=experiment.known_samples, progress=report)


def missing_extractions(experiment: Experiment, pairs: PairedDataset) -> tuple[list[ExtractSpec], list[Failure]]:
    """The specs, with revisions settled, that are to be extracted, and the models whose revision cannot be settled."""
    from platorep.extract import is_whole
    from platorep.models import resolve

    pending: list[ExtractSpec] = []
    failures: list[Failure] = []
    for model in experiment.models:
        try:
            spec = experiment.extract_spec(resolve(model, experiment.device), pairs.spec)
        except Exception as error:
            failures.append(failure(model.name, error))
            continue
        if not experiment.overwrite and is_whole(experiment.store, spec):
            log.info("%s: already extracted (%s)", model.name, spec.key())
        else:
            pending.append(spec)
    return pending, failures


def extract_one(
    experiment: Experiment,
    spec: ExtractSpec,
    pairs: PairedDataset,
    ahead: ModelSpec | None,
    coming: list[Thread],
    report: Any,
) -> Any:
    """Extracts one model; once it is loaded, the weights of `ahead` are read, by a thread that joins `coming`."""
    from platorep.extract import extract as run_extraction
    from platorep.models import read_ahead

    def read_next() -> None:
        if ahead is not None:
            coming.append(read_ahead(ahead))

    return run_extraction(
        spec,
        pairs,
        experiment.store,
        experiment.resources,
        renew=experiment.overwrite,
        loaded=read_next,
        progress=report,
    )


def _weights(spec: ExtractSpec) -> Sequence[Any]:
    """What tells apart the downloaded weights of two models."""
    return spec.model.source, spec.model.id, spec.model.asset, spec.model.revision
