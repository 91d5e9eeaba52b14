"""`platorep extract`: features of every model of the suite."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

from platorep.commands.expectations import extraction
from platorep.commands.experiment import Experiment
from platorep.commands.failures import Failure, failure, raise_failures
from platorep.core.errors import AssetError, StoreError
from platorep.core.progress import bar, expect
from platorep.core.specs import ExtractSpec, ModelSpec


if TYPE_CHECKING:
    from platorep.data import PairedDataset

log = logging.getLogger(__name__)


def extract(experiment: Experiment) -> None:
    """Extracts the features that are missing.

    Raises:
        PlatorepError: the pairs cannot be opened, or models failed; the others are done.
    """
    raise_failures(extract_models(experiment).failures)


@dataclass(frozen=True)
class Extraction:
    """Result of an extraction.

    Attributes:
        experiment: with the revisions that were just resolved, for the following stages.
        failures: the models that could not be extracted.
    """

    experiment: Experiment
    failures: list[Failure]


def extract_models(experiment: Experiment) -> Extraction:
    """Extracts every model that is not in the store. A model that fails does not stop the others.

    While one model computes, the next one's weights are fetched and read ahead, unless `evict` keeps the disk to one
    model at a time.
    """
    from platorep.models import evict

    pairs = open_pairs(experiment)
    experiment.store.write_samples(pairs.spec, pairs.samples)
    specs, failures = settled_specs(experiment, pairs)
    pending = missing_extractions(experiment, specs)
    coming: list[Thread] = []
    expect("Extracting", extraction([spec.model for spec in pending], len(pairs)))
    for number, spec in enumerate(pending, 1):
        later = pending[number:]
        ahead = None if experiment.evict else next((s.model for s in later if _weights(s) != _weights(spec)), None)
        try:
            name = spec.model.name
            with bar(f"[{number}/{len(pending)}] {name}", stage="Extracting", part=name) as report:
                while coming:
                    coming.pop().join()
                path = extract_one(experiment, spec, pairs, ahead, coming, report)
        except Exception as error:
            failures.append(failure(spec.model.name, error))
        else:
            log.info("%s: extracted to %s", spec.model.name, path)
        if experiment.evict and not any(_weights(s) == _weights(spec) for s in later):
            evict(spec.model)
    settled = experiment.with_content(pairs.spec, {spec.model.name: spec.model for spec in specs})
    return Extraction(settled, failures)


def open_pairs(experiment: Experiment) -> PairedDataset:
    """Opens the dataset with a progress bar; skips the check if an earlier run stored the samples."""
    from platorep.data import open_dataset

    with bar("Opening the pairs") as report:
        return open_dataset(experiment.dataset, known=experiment.known_samples, progress=report)


def settled_specs(experiment: Experiment, pairs: PairedDataset) -> tuple[list[ExtractSpec], list[Failure]]:
    """The models' specs with resolved revisions, and the models whose revision cannot be resolved."""
    from platorep.models import resolve

    specs: list[ExtractSpec] = []
    failures: list[Failure] = []
    for model in experiment.models:
        if model.is_imported and (imported := _stored(experiment, model, pairs)) is not None:
            specs.append(imported)
            continue
        try:
            specs.append(experiment.extract_spec(resolve(model, experiment.device), pairs.spec))
        except AssetError as error:
            stored = None if experiment.overwrite else _stored(experiment, model, pairs)
            if stored is None:
                failures.append(failure(model.name, error))
            else:
                log.warning("%s: its features are stored and are taken as they are: %s", model.name, error)
                specs.append(stored)
        except Exception as error:
            failures.append(failure(model.name, error))
    return specs, failures


def _stored(experiment: Experiment, model: ModelSpec, pairs: PairedDataset) -> ExtractSpec | None:
    """The spec of a model's stored features, which need neither its weights nor the Hub; None if it has none."""
    try:
        features = experiment.replace(present=(pairs.spec, {})).find(model)
    except StoreError:
        return None
    return None if features is None else features.spec


def missing_extractions(experiment: Experiment, specs: Sequence[ExtractSpec]) -> list[ExtractSpec]:
    """The specs that are not completely stored; with `overwrite`, all but imported features."""
    from platorep.extract import is_whole

    pending = []
    for spec in specs:
        if (spec.model.is_imported or not experiment.overwrite) and is_whole(experiment.store, spec):
            log.info("%s: already extracted (%s)", spec.model.name, spec.key())
        else:
            pending.append(spec)
    return pending


def extract_one(
    experiment: Experiment,
    spec: ExtractSpec,
    pairs: PairedDataset,
    ahead: ModelSpec | None,
    coming: list[Thread],
    report: Any,
) -> Any:
    """Extracts one model. Once it is loaded, a thread that is added to `coming` reads the weights of `ahead`."""
    from platorep.extract import extract as run_extraction
    from platorep.models import read_ahead

    if spec.model.source == "matrix":
        from platorep.extract.matrices import write_packaged

        rows = experiment.resources.shard_rows
        return write_packaged(spec, pairs.samples, experiment.store, rows, renew=experiment.overwrite)

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
    """Identifies the downloaded weights of a model."""
    return spec.model.source, spec.model.id, spec.model.asset, spec.model.revision
