"""The stages behind the commands: each reads what is on disk, does its work, and leaves its result there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd

from platorep import pipeline
from platorep.core.errors import AssetError, PlatorepError, SpecError, StoreError, unknown_name
from platorep.core.files import slug
from platorep.core.results import AlignmentTable, CompetenceTable, SelectionTable
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet
from platorep.pipeline import Settings
from platorep.progress import bar, console_for_tables


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A model that could not be run, and why; the others go on."""

    model: str
    error: str


def extract_models(cfg: dict[str, Any], settings: Settings) -> list[Failure]:
    """Extracts every model of the suite that is not in the store; one that fails does not stop the others.

    While one computes, the next one's weights are fetched and read ahead, unless `evict` keeps the disk to one model at a time.
    """
    from platorep.data import open_dataset
    from platorep.extract import extract
    from platorep.models import evict, pick_device, read_ahead, resolve

    device = pick_device(settings.device)
    with bar("Opening the pairs") as report:
        pairs = open_dataset(pipeline.dataset_spec(cfg), known=settings.known_samples, progress=report)
    settings.store.write_samples(pairs.spec, pairs.samples)
    failed: list[Failure] = []
    pending = []
    for model in pipeline.model_specs(cfg):
        try:
            spec = pipeline.extract_spec(cfg, resolve(model, device), pairs.spec)
        except AssetError as error:
            if not _stored(cfg, settings, model, pairs.spec):
                failed.append(failure(model.name, error))
            else:
                log.warning("%s: its features are stored and are taken as they are: %s", model.name, error)
            continue
        except Exception as error:
            failed.append(failure(model.name, error))
            continue
        if cfg["overwrite"] and settings.store.has(spec):
            settings.store.remove(settings.store.open(spec))
        if settings.store.has(spec):
            log.info("%s: already extracted (%s)", model.name, spec.key())
        else:
            pending.append(spec)
    coming: list[Thread] = []
    for number, spec in enumerate(pending, 1):
        name = spec.model.name
        following = next((later.model for later in pending[number:] if _weights(later) != _weights(spec)), None)
        ahead = None if cfg["evict"] or following is None else following

        def read_next(ahead: ModelSpec | None = ahead) -> None:
            if ahead is not None:
                coming.append(read_ahead(ahead))

        try:
            with bar(f"[{number}/{len(pending)}] {name}") as report:
                while coming:
                    coming.pop().join()
                path = extract(
                    spec,
                    pairs,
                    settings.store,
                    device=device,
                    tokens=settings.tokens,
                    workers=settings.workers,
                    shard=settings.shard,
                    shard_rows=settings.shard_rows,
                    compiled=settings.compile,
                    loaded=read_next,
                    progress=report,
                )
        except Exception as error:
            failed.append(failure(name, error))
        else:
            log.info("%s: extracted to %s", name, path)
        shared = any(_weights(later) == _weights(spec) for later in pending[number:])
        if cfg["evict"] and not shared:
            evict(spec.model)
    return failed


def _stored(cfg: dict[str, Any], settings: Settings, model: ModelSpec, dataset: DatasetSpec) -> bool:
    """Whether features of a model that cannot be resolved are stored: they need neither its weights nor the Hub."""
    try:
        pipeline.find_features(settings.store, pipeline.extract_spec(cfg, model, dataset))
    except StoreError:
        return False
    return not cfg["overwrite"]


def _weights(spec: ExtractSpec) -> tuple[Any, ...]:
    """What tells apart the downloaded weights of two models."""
    return spec.model.source, spec.model.id, spec.model.asset, spec.model.revision


def failure(name: str, error: Exception) -> Failure:
    """Logs why something could not be done, and notes it: with a traceback where it was not foreseen."""
    if isinstance(error, PlatorepError):
        log.error("%s: %s", name, error)
    else:
        log.exception("%s failed", name)
    return Failure(name, f"{type(error).__name__}: {error}")


def summarise_captions(cfg: dict[str, Any], settings: Settings) -> Path:
    """Writes the folder dataset of summaries of the configured dataset's captions, and says how to extract it."""
    from platorep.captions import Decoding, summarise
    from platorep.data import open_dataset
    from platorep.models import pick_device, resolve

    how, device = cfg["captions"], pick_device(settings.device)
    model = resolve(ModelSpec.from_dict(how["model"]), device)
    with bar("Opening the pairs") as report:
        pairs = open_dataset(pipeline.dataset_spec(cfg), known=settings.known_samples, progress=report)
    folder = settings.root / "captions" / f"{slug(pairs.spec.name)}--{slug(model.name)}"
    decoding = Decoding(batch=how["batch"], temperature=how["temperature"], seed=how["seed"])
    with bar("Summarising") as report:
        summarise(model, pairs, how["words"], folder, decoding=decoding, device=device, progress=report)
    log.info("%s: dataset=folder dataset.id=%s dataset.columns.text=words_%d", folder, folder, how["words"][0])
    return folder


def raise_failures(failed: list[Failure]) -> None:
    """Ends a command whose models did not all run: lists them, so that the exit code is 1.

    Raises:
        PlatorepError: at least one model failed.
    """
    if failed:
        lines = "\n".join(f"  {one.model}: {one.error}" for one in failed)
        raise PlatorepError(f"{len(failed)} of the models failed; the others are done:\n{lines}")


def measure_competence(cfg: dict[str, Any], settings: Settings) -> CompetenceTable:
    """Writes and returns the competence table of the suite's models; what could not be measured is logged."""
    from platorep import measuring

    return measuring.measure_competence(cfg, settings)[0]


def align_models(cfg: dict[str, Any], settings: Settings) -> None:
    """Scores the suite's stored models and tests what the protocol chooses; parts and tests that are there are kept."""
    score_models(cfg, settings)
    if settings.shard == (0, 1):
        select_layers(cfg, settings)


def score_models(cfg: dict[str, Any], settings: Settings) -> AlignmentTable:
    """Scores of all layer pairs of the suite's stored models; parts that are there are read."""
    blocks = pipeline.sides(pipeline.stored(cfg, settings), cfg["protocol"]["pairs"])
    return AlignmentTable.concatenate([score_block(cfg, settings, x, y, pairs=kind) for x, y, kind in blocks])


def score_block(
    cfg: dict[str, Any], settings: Settings, x: list[FeatureSet], y: list[FeatureSet], *, pairs: str = "all"
) -> AlignmentTable:
    """Scores of x models against y models under the configured metrics and clamp, kept with the configured dataset's."""
    from platorep.align import align

    out, metrics = pipeline.alignment_folder(cfg, settings), pipeline.built_metrics(cfg)
    with bar("Aligning") as report:
        return align(
            x,
            y,
            metrics,
            out_dir=out,
            pairs=pairs,
            shard=settings.shard,
            progress=report,
            **how_to_score(cfg, settings),
        )


def how_to_score(cfg: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The clamp, the memory and the device, as the engines take them."""
    from platorep.models import pick_device

    protocol = cfg["protocol"]
    device = pick_device(settings.device)
    return {"clip": protocol["clip"], "quantile": protocol["quantile"], "memory": settings.memory, "device": device}


def select_layers(cfg: dict[str, Any], settings: Settings) -> None:
    """Chooses layers by the protocol, tests and brackets the scores of all pairs of models, and writes the table once."""
    from platorep.align import significance

    statistics, path = cfg["statistics"], pipeline.selection_path(cfg, settings)
    if path.is_file():
        return
    pairs = pipeline.model_pairs(cfg, settings)
    with bar("Testing") as report:
        table = significance(
            pairs,
            pipeline.built_metrics(cfg),
            select=cfg["protocol"]["select"],
            permutations=statistics["permutations"],
            seed=statistics["seed"],
            strata=pipeline.strata(statistics["strata"], settings.store.read_samples(pairs[0][0].path.parent)),
            strata_name=statistics["strata"] or "",
            progress=report,
            **how_to_score(cfg, settings),
        )
    table.write(path)


def draw_figures(cfg: dict[str, Any], settings: Settings) -> list[Path]:
    """Draws the chosen figures from the tables on disk, then prints the models' matrix and the figures' paths.

    A figure that these tables do not hold (no ladder in the suite, say) is named and left out.

    Raises:
        StoreError: none of the figures can be drawn.
    """
    from platorep.figures import draw, save
    from platorep.figures.text import matrix_table

    table = pipeline.stored_alignment(cfg, settings)
    found = CompetenceTable.load([settings.root / "competence" / f"{pipeline.run_name(cfg)}.parquet"])
    out = settings.root / "figures" / pipeline.run_name(cfg)
    paths = []
    with bar("Drawing") as report:
        for number, (name, options) in enumerate(cfg["figure"].items()):
            report(number, len(cfg["figure"]), name)
            try:
                figure = draw(name, table, found, **figure_data(name, table, cfg, settings), **(options or {}))
            except PlatorepError as error:
                log.warning("%s: not drawn: %s", name, error)
            else:
                paths += save(figure, out / name)
    if not paths:
        raise StoreError(
            f"none of the figures {', '.join(cfg['figure'])} can be drawn from these tables; the lines above say why."
        )
    console_for_tables().print(matrix_table(table))
    for path in paths:
        log.info("%s", path)
    return paths


def write_report(cfg: dict[str, Any], settings: Settings, words: Sequence[str] = ()) -> Path:
    """Writes the page of a run from what is on disk; `words` are the command line's, for the commands that remake it."""
    import json

    from platorep.data import open_dataset
    from platorep.report import Run, write_page

    name, features = pipeline.run_name(cfg), pipeline.stored(cfg, settings)
    alignment = pipeline.stored_alignment(cfg, settings)
    selection, table = pipeline.selection_path(cfg, settings), settings.root / "competence" / f"{name}.parquet"
    with bar("Opening the pairs") as report:
        pairs = open_dataset(pipeline.dataset_spec(cfg), known=settings.known_samples, progress=report)
    found = {one.name for one in features}
    run = Run(
        name=name,
        suite=cfg["suite"],
        dataset=pairs.spec,
        samples=pairs.samples,
        picture=pairs.picture,
        features=features,
        metrics=pipeline.built_metrics(cfg),
        alignment=alignment,
        selection=SelectionTable.load([selection]) if selection.is_file() else None,
        competence=CompetenceTable.load([table]) if table.is_file() else None,
        figures={path.stem: path for path in sorted((settings.root / "figures" / name).glob("*.png"))},
        missing=[model.name for model in pipeline.model_specs(cfg) if model.name not in found],
        words=words,
        configuration=json.dumps(
            {key: value for key, value in cfg.items() if key != "root"}, indent=2, ensure_ascii=False
        ),
        clip=cfg["protocol"]["clip"],
        quantile=cfg["protocol"]["quantile"],
        memory=settings.memory,
    )
    with bar("Reading layers") as report:
        return write_page(run, settings.root / "report" / f"{name}.html", progress=report)


def figure_data(name: str, table: AlignmentTable, cfg: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What a figure shows beside the tables of scores and competence, as its keyword arguments."""
    if name == "significance":
        path = pipeline.selection_path(cfg, settings)
        if not path.is_file():
            return {}
        chosen = SelectionTable.load([path]).frame
        chosen = chosen[chosen.metric == table.frame.metric.iloc[0]]
        named = chosen[["x_model", "y_model"]]
        more = {"intervals": named.assign(low=chosen.low, high=chosen.high).dropna()}
        return more | (
            {"bands": named.assign(low=chosen.null_low, high=chosen.null_high)} if chosen.null_low.notna().all() else {}
        )
    if name == "hubness":
        return {"layers": hubness_of_layers(cfg, settings)}
    if name == "gallery":
        from platorep import galleries

        return {"scores": galleries.stored_galleries(cfg, settings)}
    return {}


def hubness_of_layers(cfg: dict[str, Any], settings: Settings) -> pd.DataFrame:
    """In-degree figures of every stored layer under the first configured metric that has neighbours.

    Raises:
        SpecError: no configured metric has neighbours.
    """
    import torch

    from platorep.align import neighbour_graphs
    from platorep.stats.hubness import hubness

    metric = next((one for one in pipeline.built_metrics(cfg) if hasattr(one, "k")), None)
    if metric is None:
        raise SpecError("figure=hubness wants a metric on neighbours, such as metric=mutual_knn.")
    features, found = pipeline.stored(cfg, settings), []
    with bar("Counting hubs") as report:
        for number, one in enumerate(features):
            report(number, len(features), one.name)
            graphs = neighbour_graphs(
                one, metric.k, similarity=metric.similarity, concatenation=False, memory=settings.memory
            )
            depth = [layer / max(1, len(graphs) - 1) for layer in range(len(graphs))]
            found.append(hubness(torch.stack(graphs)).assign(model=one.name, depth=depth))
    return pd.concat(found, ignore_index=True)


def simulate(cfg: dict[str, Any], settings: Settings) -> list[Path]:
    """Runs the chosen experiments of the theory; tables and figures go to a folder an experiment under theory/.

    Raises:
        UnknownNameError: an experiment that does not exist, or a text model for the colours that the suite does not have.
        SpecError: options that are no mapping.
    """
    from platorep.theory import EXPERIMENTS, run

    for name, options in cfg["experiment"].items():  # before the first of them takes its minutes
        if name not in EXPERIMENTS:
            raise unknown_name("experiment", name, EXPERIMENTS)
        if not isinstance(options or {}, dict):
            raise SpecError(
                f"experiment.{name} is {options!r}; expected its options, such as +experiment.{name}.seeds=20."
            )
    paths: list[Path] = []
    with bar("Simulating") as report:
        for number, (name, options) in enumerate(cfg["experiment"].items()):
            report(number, len(cfg["experiment"]), name)
            options = dict(options or {})
            if "models" in options:  # names of the suite's models stand for their specs
                suite = {spec.name: spec for spec in pipeline.model_specs(cfg)}
                for model in options["models"]:
                    if model not in suite:
                        raise unknown_name("model", model, suite)
                options["models"] = [suite[model] for model in options["models"]]
            paths += run(name, settings.root / "theory", world=cfg["world"] or None, **options)
    for path in paths:
        log.info("%s", path)
    return paths
