"""The stage `competence`: what is known and measured of the suite's models, in one table.

What takes long, a model over a corpus or a probe of one task, is kept under `competence/parts` and not made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from platorep import competence, pipeline
from platorep.core.errors import SpecError, StoreError
from platorep.core.files import slug
from platorep.core.progress import bar
from platorep.core.specs import CorpusSpec, DatasetSpec, ModelSpec, TaskSpec
from platorep.core.store import FeatureSet
from platorep.pipeline import Settings
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable
from platorep.stages import Failure, extract_models, failure


log = logging.getLogger(__name__)


def measure_competence(cfg: dict[str, Any], settings: Settings) -> tuple[CompetenceTable, list[Failure]]:
    """Writes and returns the suite's competence table, and what could not be measured.

    It holds what extraction measured in passing, published and imported scores, and where `corpus` or `probe` are chosen bits
    per byte of that corpus, in place of the captions', and probes. Of one measure of one model only the rows of the most
    trusted source stay: measured, imported, published.
    """
    models = pipeline.model_specs(cfg)
    tables = [extracted(cfg, settings)]
    failed: list[Failure] = []
    if cfg["corpus"]:
        found = list(corpus_tables(cfg, settings, failed))
        measured = {measure for table in found for measure in table.frame.measure}
        frame = tables[0].frame
        tables = [CompetenceTable.from_frame(frame[~frame.measure.isin(measured)]), *found]
    if cfg["probe"]:
        tables.append(probe_table(cfg, settings, failed))
    tables += [competence.read_scores(Path(path).expanduser(), models) for path in cfg["scores"]]
    table = competence.merged([*tables, competence.published(models)])
    table.write(settings.root / "competence" / f"{pipeline.run_name(cfg)}.parquet")
    return table, failed


def extracted(cfg: dict[str, Any], settings: Settings) -> CompetenceTable:
    """What extraction left in the manifests.

    Raises:
        StoreError: nothing is extracted, and nothing else is to be measured or read.
    """
    try:
        return competence.from_features(pipeline.stored(cfg, settings))
    except StoreError as error:
        if not (cfg["corpus"] or cfg["probe"] or cfg["scores"]):
            raise
        log.warning("nothing is known from extraction: %s", error)
        return _table([])


def corpus_tables(cfg: dict[str, Any], settings: Settings, failed: list[Failure]) -> Iterator[CompetenceTable]:
    """Bits per byte of every causal language model of the suite over the chosen corpus, one model after the other."""
    from platorep.competence.bits import VERSION
    from platorep.competence.corpora import read_corpus
    from platorep.models import pick_device, resolve

    spec = CorpusSpec.from_dict(cfg["corpus"])
    samples = None
    if spec.source == "captions":
        samples = settings.store.read_samples(settings.store.root / pipeline.dataset_folder(cfg, settings))
        spec = spec.replace(name=f"captions of {pipeline.dataset_spec(cfg).name}")
    corpus = read_corpus(spec, samples)
    log.info("%s, windows of %d tokens, %d apart", corpus, spec.context, spec.stride)
    device = pick_device(settings.device)
    models = [
        model for model in pipeline.model_specs(cfg) if model.modality == "language" and model.source == "transformers"
    ]
    for number, model in enumerate(models, 1):
        try:
            model = resolve(model, device)
            what = {
                "version": VERSION,
                "model": model.key(),
                "text": corpus.digest,
                "context": spec.context,
                "stride": spec.stride,
            }
            what |= {"released": spec.released}
            with bar(f"[{number}/{len(models)}] {model.name}") as report:
                yield _kept(
                    cfg, settings, f"{model.name}--{spec.name}", what, lambda: _bits(model, spec, corpus, settings, device, report), model  # noqa: B023
                )  # fmt: skip
        except Exception as error:
            failed.append(failure(model.name, error))


def _bits(
    model: ModelSpec, spec: CorpusSpec, corpus: Any, settings: Settings, device: Any, report: Any
) -> CompetenceTable:
    """Bits per byte of one model; no rows where it gives no probabilities."""
    from platorep.competence.bits import document_bits
    from platorep.extract.batches import Budget, free_memory
    from platorep.models import load

    encoder, rows = load(model, device), []
    try:
        for released in (False, True) if spec.released else (False,):
            if not getattr(encoder, "scores", False):
                log.warning("%s gives no probabilities of texts: it has no bits per byte.", model.name)
                break
            found = document_bits(
                encoder, corpus.texts, context=spec.context, stride=spec.stride, budget=Budget.find(settings.tokens, device),
                released=released, progress=report,
            )  # fmt: skip
            value, error = found.per_byte()
            words = f"context {spec.context}, stride {spec.stride}, {found.tokens} tokens"
            start = "the tokenizer's own" if released else encoder.facts["start_token"]
            lossy = f"; {found.lossy} documents that the tokenizer does not give back" if found.lossy else ""
            measure = "bits_per_byte_released" if released else "bits_per_byte"
            rows.append(_row(model, measure, value, error, str(corpus), f"{words}; start token: {start}{lossy}"))
    finally:
        del encoder
        free_memory()
    return _table(rows)


def probe_table(cfg: dict[str, Any], settings: Settings, failed: list[Failure]) -> CompetenceTable:
    """Probes of every vision model on every task, extracting what is missing, and the share of tasks that each solves.

    Raises:
        SpecError: the suite has no vision models, or the probe no tasks.
    """
    from platorep.competence.probes import share_solved

    models = [model for model in pipeline.model_specs(cfg) if model.modality == "vision"]
    tasks = [TaskSpec.from_dict({"name": name, **entry}) for name, entry in cfg["probe"]["tasks"].items()]
    if not models or not tasks:
        raise SpecError(
            f"probe={cfg['probe'].get('name')} wants vision models and tasks; got {len(models)} models and {len(tasks)} tasks."
        )
    parts, missing = [], set()
    with bar("Probing") as report:
        for number, task in enumerate(tasks):
            try:
                train, validation = (
                    None if dataset is None else task_features(cfg, settings, dataset, models, failed)
                    for dataset in (task.dataset, task.validation)
                )
            except Exception as error:
                failed.append(failure(f"task {task.name}", error))
                missing.add(task.name)
                continue
            for place, model in enumerate(models):
                report(number * len(models) + place, len(tasks) * len(models), f"{task.name}: {model.name}")
                own = train.get(model.name), None if validation is None else validation.get(model.name)
                if own[0] is None or (validation is not None and own[1] is None):
                    continue  # its extraction failed and is listed
                try:
                    parts.append(probe_part(cfg, settings, task, *own))  # type: ignore[arg-type]
                except Exception as error:
                    failed.append(failure(f"{model.name} on {task.name}", error))
    if not parts:
        return _table([])
    table = CompetenceTable.concatenate(parts)
    accuracy = table.frame.pivot(index="model", columns="task", values="value").reindex([m.name for m in models])
    accuracy = accuracy.dropna(how="all")
    if gaps := sorted(accuracy.index[accuracy.isna().any(axis=1)]):
        log.warning("left out of the share of tasks solved, as not every task was probed: %s", ", ".join(gaps))
    shares = share_solved(accuracy.drop(index=gaps))
    words = f"{cfg['probe']['name']}: {accuracy.shape[1]} tasks, best of {len(shares)} models"
    note = f"without {', '.join(sorted(missing))}" if missing else ""
    by_name = {model.name: model for model in models}
    return CompetenceTable.concatenate(
        [
            table,
            _table(
                [
                    _row(by_name[str(name)], "vtab_solved", share, float("nan"), words, note)
                    for name, share in shares.items()
                ]
            ),
        ]
    )


def task_features(
    cfg: dict[str, Any], settings: Settings, dataset: DatasetSpec, models: list[ModelSpec], failed: list[Failure]
) -> dict[str, FeatureSet]:
    """Features of a task's pictures by model: those in the store with all layers, else the probed layer's, extracted where missing."""
    layer = str(cfg["probe"]["layer"])
    words = {**cfg, "dataset": dataset.to_dict()}

    def find() -> dict[str, FeatureSet]:
        found = {}
        for model in models:
            for one in (words, {**words, "layers": layer}):
                try:
                    found[model.name] = pipeline.find_features(
                        settings.store, pipeline.extract_spec(one, model, dataset)
                    )
                except StoreError:
                    continue
                break
        return found

    found = find()
    if missing := [model.name for model in models if model.name not in found]:
        failed += extract_models({**words, "layers": layer, "only": ",".join(missing)}, settings)
        found = find()
        named = {one.model for one in failed}
        failed += [
            Failure(name, f"its features on {dataset.name} are not complete: other shards are missing")
            for name in missing
            if name not in found and name not in named
        ]
    return found


def probe_part(
    cfg: dict[str, Any], settings: Settings, task: TaskSpec, train: FeatureSet, validation: FeatureSet | None
) -> CompetenceTable:
    """One model's accuracy on one task, kept on disk."""
    from platorep.competence import probes

    layer = str(cfg["probe"]["layer"])

    def make() -> CompetenceTable:
        classes = [
            probes.labels(settings.store.read_samples(one.path.parent), task.label)
            for one in (train, validation)
            if one is not None
        ]
        if validation is None:
            rows, new = probes.split(classes[0], task.held_out)
        else:
            rows, new = (
                probes.subsample(probes.frequent(classes[0], probes.FOLDS)),
                probes.subsample(range(len(classes[1]))),
            )
        x, x_new = (one.load(layer_of(one, layer)).numpy() for one in (train, validation or train))
        found = probes.probe(x[rows], [classes[0][i] for i in rows], x_new[new], [classes[-1][i] for i in new])
        words = (
            f"logistic regression on layer {train.layers[layer_of(train, layer)].name}, C={found.c:g}, {found.classes} classes, "
            f"{found.train} + {found.validation} samples, chance {found.chance:.3f}"
        )
        name = f"{task.name} ({task.key()})"
        return _table([_row(train.spec.model, "probe_accuracy", found.accuracy, found.standard_error, name, words)])

    keys = [one.key for one in (train, validation) if one is not None]
    what = {"version": probes.VERSION, "task": task.key(), "features": keys, "layer": layer}
    return _kept(cfg, settings, f"{train.name}--{task.name}", what, make, train.spec.model)


def layer_of(features: FeatureSet, layer: str) -> int:
    """Index of the probed layer among the stored ones.

    Raises:
        SpecError: `probe.layer` names several layers.
    """
    from platorep.models.base import parse_layers

    if features.spec.layers == layer and len(features.layers) == 1:
        return 0
    chosen = parse_layers(layer, len(features.layers))
    if len(chosen) != 1:
        raise SpecError(f"probe.layer is {layer!r}; a probe reads one layer, such as last, 5 or depth:0.5.")
    return chosen[0]


def _kept(
    cfg: dict[str, Any],
    settings: Settings,
    name: str,
    what: dict[str, Any],
    make: Callable[[], CompetenceTable],
    model: ModelSpec,
) -> CompetenceTable:
    """A part of the table from disk, or made and written; under the model's present name and family, which no key covers."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    path = settings.root / "competence" / "parts" / f"{slug(name)}--{digest}.parquet"
    if path.is_file() and not cfg["overwrite"]:
        table = CompetenceTable.load([path])
        return CompetenceTable.from_frame(table.frame.assign(model=model.name, family=model.family))
    table = make()
    table.write(path)
    return table


def _row(model: ModelSpec, measure: str, value: float, error: float, task: str, provenance: str) -> dict[str, Any]:
    return {
        "model": model.name, "key": model.key(), "modality": model.modality, "family": model.family, "measure": measure,
        "value": value, "standard_error": error, "task": task, "source": "measured", "provenance": provenance,
    }  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> CompetenceTable:
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))
