"""`platorep competence`: measured and known competence of the suite's models, in one table.

Slow results (a model over a corpus, a probe of one task) are kept under competence/parts and reused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from platorep import competence as engine
from platorep.commands.experiment import Experiment
from platorep.commands.extract import extract_models
from platorep.commands.failures import Failure, failure, raise_failures
from platorep.competence.rows import kept
from platorep.competence.rows import table as competence_table
from platorep.core.errors import DiskError, SpecError, StoreError
from platorep.core.progress import bar
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, TaskSpec
from platorep.core.store import FeatureSet
from platorep.results.tables import CompetenceTable


log = logging.getLogger(__name__)


def competence(experiment: Experiment) -> Path:
    """Writes the competence table.

    Returns:
        Its file.

    Raises:
        PlatorepError: models or tasks could not be measured; the others are in the table.
    """
    _, failures = measure_competence(experiment)
    log.info("%s", experiment.competence_path)
    raise_failures(failures)
    return experiment.competence_path


def measure_competence(experiment: Experiment) -> tuple[CompetenceTable, list[Failure]]:
    """Writes and returns the suite's competence table, and what could not be measured.

    It holds the values measured during extraction, how networks trained here classify the pictures, and published and
    imported scores. If `corpus` is chosen, it holds the bits per byte of that corpus instead of the captions'; if
    `probe` is chosen, it also holds probes. If a measure of a model has several sources, only the most trusted one is
    kept: measured, imported, published.
    """
    tables = [extracted(experiment)]
    failures: list[Failure] = []
    if experiment.corpus is not None:
        measured = list(corpus_tables(experiment, failures))
        measures = {measure for part in measured for measure in part.frame.measure}
        frame = tables[0].frame
        tables = [CompetenceTable.from_frame(frame[~frame.measure.isin(measures)]), *measured]
    if experiment.probe is not None:
        tables.append(probe_table(experiment, failures))
    tables += network_tables(experiment, failures)
    tables += [engine.read_scores(path, experiment.models) for path in experiment.score_files]
    merged = engine.merged([*tables, engine.published(experiment.models)])
    merged.write(experiment.competence_path)
    return merged, failures


def extracted(experiment: Experiment) -> CompetenceTable:
    """The competence that extraction recorded in the manifests.

    Raises:
        StoreError: nothing is extracted, and there is nothing else to measure or read.
    """
    try:
        return engine.from_features(experiment.features)
    except StoreError as error:
        if experiment.corpus is None and experiment.probe is None and not experiment.score_files:
            raise
        log.warning("no competence from extraction: %s", error)
        return competence_table([])


def corpus_tables(experiment: Experiment, failures: list[Failure]) -> Iterator[CompetenceTable]:
    """Bits per byte of every language model of the suite over the corpus, one model after the other."""
    from platorep.competence.bits import VERSION
    from platorep.competence.corpora import read_corpus
    from platorep.competence.documents import corpus_bits
    from platorep.models import resolve

    spec, samples = experiment.corpus, None
    if spec is None:
        return
    if spec.source == "captions":
        samples, spec = experiment.samples, spec.replace(name=f"captions of {experiment.dataset.name}")
    corpus = read_corpus(spec, samples)
    log.info("%s, windows of %d tokens, %d apart", corpus, spec.context, spec.stride)
    device = experiment.device
    models = [model for model in experiment.models if model.modality == "language" and model.source == "transformers"]
    for number, model in enumerate(models, 1):
        try:
            model = resolve(model, device)
            determines = {"version": VERSION, "model": model.key(), "text": corpus.digest, "released": spec.released}
            determines |= {"context": spec.context, "stride": spec.stride}
            with bar(f"[{number}/{len(models)}] {model.name}") as report:

                def measure(model=model, report=report) -> CompetenceTable:
                    tokens = experiment.resources.tokens
                    return corpus_bits(model, spec, corpus, device=device, tokens=tokens, progress=report)

                name = f"{model.name}--{spec.name}"
                yield kept(_parts(experiment), name, determines, measure, model, overwrite=experiment.overwrite)
        except DiskError:  # the table would lose values, so it is left unchanged
            raise
        except Exception as error:
            failures.append(failure(model.name, error))


def network_tables(experiment: Experiment, failures: list[Failure]) -> Iterator[CompetenceTable]:
    """Cross-entropy and accuracy of the networks that are trained here, on the pictures of the experiment."""
    if not (models := [model for model in experiment.models if model.source == "trained"]):
        return
    from platorep.competence.networks import VERSION, classified
    from platorep.models import resolve
    from platorep.training.pictures import Library

    library = Library()
    for model in models:
        try:
            network, dataset = resolve(model, experiment.device), experiment.dataset_folder.name
            determines = {"version": VERSION, "model": network.key(), "dataset": dataset}

            def measure(network=network) -> CompetenceTable:
                return classified(network, experiment.dataset, library)

            name = f"{model.name}--{experiment.dataset.name}"
            yield kept(_parts(experiment), name, determines, measure, network, overwrite=experiment.overwrite)
        except DiskError:
            raise
        except Exception as error:
            failures.append(failure(model.name, error))


def probe_table(experiment: Experiment, failures: list[Failure]) -> CompetenceTable:
    """Probes of every vision model on every task, extracting what is missing, and the share of tasks that each solves.

    Raises:
        SpecError: the suite has no vision models, or the probe no tasks.
    """
    from platorep.competence.probing import share_solved

    probe = experiment.probe
    models = [model for model in experiment.models if model.modality == "vision"]
    if probe is None or not models or not probe.tasks:
        name, tasks = (probe.name, len(probe.tasks)) if probe else ("none", 0)
        raise SpecError(f"probe={name} needs vision models and tasks; got {len(models)} models and {tasks} tasks.")
    vision = experiment.replace(models=tuple(models))
    parts: list[CompetenceTable] = []
    missing: set[str] = set()
    with bar("Probing") as report:
        for number, task in enumerate(probe.tasks):
            report(number, len(probe.tasks), task.name)
            try:
                parts += task_tables(vision, task, failures)
            except DiskError:
                raise
            except Exception as error:
                failures.append(failure(f"task {task.name}", error))
                missing.add(task.name)
    if not parts:
        return competence_table([])
    accuracies = CompetenceTable.concatenate(parts)
    return CompetenceTable.concatenate([accuracies, share_solved(accuracies, models, probe.name, missing)])


def task_tables(experiment: Experiment, task: TaskSpec, failures: list[Failure]) -> list[CompetenceTable]:
    """Every model's accuracy on one task, and the models whose extraction or probe failed."""
    datasets = [task.dataset] if task.validation is None else [task.dataset, task.validation]
    sides = [task_features(experiment, dataset, failures) for dataset in datasets]
    tables = []
    for model in experiment.models:
        sets = [side.get(model.name) for side in sides]
        if any(features is None for features in sets):
            continue  # its extraction failed and is listed
        try:
            tables.append(probe_part(experiment, task, [features for features in sets if features is not None]))
        except DiskError:
            raise
        except Exception as error:
            failures.append(failure(f"{model.name} on {task.name}", error))
    return tables


def task_features(experiment: Experiment, dataset: DatasetSpec, failures: list[Failure]) -> dict[str, FeatureSet]:
    """Features of a task's pictures by model: the stored ones, or those of the probed layer, extracted if missing."""
    layer = experiment.probe.layer if experiment.probe is not None else "last"
    one_layer = experiment.replace(dataset=dataset, reading={**experiment.reading, "layers": layer})

    def stored() -> dict[str, FeatureSet]:
        features = {}
        for model in experiment.models:
            for variant in (experiment.replace(dataset=dataset), one_layer):
                try:
                    extraction = variant.find(model)
                except StoreError:
                    continue
                if extraction is not None:
                    features[model.name] = extraction
                    break
        return features

    features = stored()
    if missing := [model for model in experiment.models if model.name not in features]:
        failed = extract_models(one_layer.replace(models=tuple(missing))).failures
        features = stored()
        named = {failure.model for failure in failed}
        failures += failed
        failures += [
            Failure(model.name, f"its features on {dataset.name} are not complete: other shards are missing")
            for model in missing
            if model.name not in features and model.name not in named
        ]
    return features


def probe_part(experiment: Experiment, task: TaskSpec, sets: list[FeatureSet]) -> CompetenceTable:
    """One model's accuracy on one task, kept on disk; `sets` holds the training and perhaps the validation features."""
    from platorep.competence import probes
    from platorep.competence.probing import probe_accuracy

    layer = experiment.probe.layer if experiment.probe is not None else "last"

    def with_samples(features: FeatureSet) -> tuple[FeatureSet, Samples]:
        return features, experiment.store.read_samples(features.path.parent)

    def measure() -> CompetenceTable:
        validation = with_samples(sets[1]) if len(sets) > 1 else None
        return probe_accuracy(task, layer, with_samples(sets[0]), validation)

    keys = [features.key for features in sets]
    determines = {"version": probes.VERSION, "task": task.key(), "features": keys, "layer": layer}
    name, model = f"{sets[0].name}--{task.name}", sets[0].spec.model
    return kept(_parts(experiment), name, determines, measure, model, overwrite=experiment.overwrite)


def _parts(experiment: Experiment) -> Path:
    return experiment.root / "competence" / "parts"
