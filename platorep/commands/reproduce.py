"""`platorep reproduce`: one figure of the paper, its data, and a comparison with published values."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from platorep.align.controls import Shuffles, shuffled_pairs
from platorep.commands.align import score_models, score_pairs, select_layers
from platorep.commands.basin import basin_path, basin_table
from platorep.commands.brains import brain_table, brains_path
from platorep.commands.competence import measure_competence
from platorep.commands.drawing import draw_figure
from platorep.commands.experiment import Experiment
from platorep.commands.extract import extract_models
from platorep.commands.failures import Failure, raise_failures
from platorep.commands.recipes import Variant
from platorep.commands.stitch import stitching_path, stitching_table
from platorep.commands.studies import study_table
from platorep.commands.tables import comparison_table
from platorep.core.errors import SpecError
from platorep.core.features import Features, Subset
from platorep.core.files import link_latest, write_atomically
from platorep.core.progress import bar, console_for_tables
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.results.facts import with_facts
from platorep.results.published import compare, targets
from platorep.results.quantities import measured
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.stats.permutations import nested_order


log = logging.getLogger(__name__)

OF_NETWORKS: dict[str, tuple[Callable[[Experiment], Any], Callable[[Experiment], Path]]] = {
    "basin": (basin_table, basin_path),
    "stitching": (stitching_table, stitching_path),
}
"""Figures of networks trained here: how their table is measured, and its file."""


def reproduce(experiment: Experiment) -> list[Path]:
    """Runs the missing stages, draws the figure, and writes its data and published values beside it.

    Returns:
        The folder: NAME.png and NAME.pdf; alignment, competence and comparison as .csv and .parquet. Then the table of
        brains, if the figure shows one.

    Raises:
        SpecError: the recipe does not have exactly one figure.
        PlatorepError: models or tasks failed; the figure is drawn from the others first.
    """
    from platorep.figures import needs
    from platorep.figures.data import FigureData

    if len(experiment.figures) != 1:
        raise SpecError(f"an experiment draws one figure; got {', '.join(experiment.figures) or 'none'}.")
    (name, options), recipe = next(iter(experiment.figures.items())), experiment.recipe
    folder = experiment.root / "reproduce" / f"{recipe.name}--{experiment.label.rpartition('--')[2]}"
    if name in OF_NETWORKS:
        return _of_networks(experiment, name, folder)
    whole = experiment
    extraction = extract_models(experiment.replace(models=models_of_base(experiment)))
    experiment, failures = extraction.experiment, extraction.failures
    competence, unmeasured = measure_competence(experiment)
    scores, unscored = score(experiment)
    selection = None
    # held-out scores use halves of the samples, and only the test computes them
    if experiment.protocol.select == "heldout" or recipe.tests:
        select_layers(experiment)
        selection = experiment.selection
    against_brains = "brains" in needs(name)
    with bar("Drawing") as report:
        report(0, 1, name)
        data = FigureData(
            alignment=scores,
            selection=selection,
            select=experiment.protocol.select,
            competence=competence,
            brains=brain_table(experiment) if against_brains else None,
        )
        if "study" in needs(name):
            variants, unread = variant_features(whole)
            failures = [*failures, *unread]
            data = dataclasses.replace(data, study=study_table(experiment, name, data.chosen, variants))
        paths = draw_figure(experiment, name, data, folder / recipe.name)
    quantities = measured(name, data.chosen, competence, data.study, **options)
    known = {*scores.frame.x_model, *scores.frame.y_model}
    comparison = compare(quantities, targets(name), known=known)
    for stem, frame in (("alignment", data.chosen), ("competence", _of(competence, known)), ("comparison", comparison)):
        paths += _write(folder / stem, frame)
    link_latest(folder, folder.with_name(f"{recipe.name}--latest"))
    console_for_tables().print(comparison_table(comparison))
    for path in paths:
        log.info("%s", path)
    raise_failures([*failures, *unmeasured, *unscored])
    return [folder, brains_path(experiment)] if against_brains else [folder]


def _of_networks(experiment: Experiment, name: str, folder: Path) -> list[Path]:
    """A figure of networks that are trained here: nothing is extracted, and nothing is published for these pictures."""
    from platorep.figures.data import FigureData

    measure, path_of = OF_NETWORKS[name]
    table = measure(experiment)
    stem = folder / experiment.recipe.name
    for path in draw_figure(experiment, name, FigureData(**{name: table}), stem):
        log.info("%s", path)
    link_latest(folder, folder.with_name(f"{experiment.recipe.name}--latest"))
    return [folder, path_of(experiment)]


def score(experiment: Experiment) -> tuple[AlignmentTable, list[Failure]]:
    """All scores of an experiment: the suite's on the dataset, or on its variants, and on its smaller galleries.

    Variants change the captions only: their language features are extracted and scored against the dataset's vision
    features, unless they belong to an experiment with a table of its own. Other datasets are scored with the same
    models.
    """
    recipe, failures = experiment.recipe, []
    tables: list[AlignmentTable] = []
    if recipe.shuffles:
        tables.append(_shuffled(experiment))
    elif recipe.study or not recipe.variants:
        tables.append(score_models(experiment))
    for variant in () if recipe.study else recipe.variants.values():
        table, failed = _score_variant(experiment, variant)
        tables.append(table)
        failures += failed
    for dataset in recipe.datasets.values():
        table, failed = _score_dataset(experiment, dataset)
        tables.append(table)
        failures += failed
    for n in recipe.galleries:
        small = {features.key: random_sample(features, n) for features in experiment.features}
        pairs = [(small[a.key], small[b.key]) for a, b in experiment.pairs]
        tables.append(score_pairs(experiment, pairs, experiment.metrics[:1]))
    specs = [features.spec.model for features in experiment.features]
    return with_facts(AlignmentTable.concatenate(tables), specs), failures


def random_sample(features: Features, n: int) -> Subset:
    """A random subset of n samples of the features: a smaller gallery without another extraction.

    The subsets are nested and the same for all models.

    Raises:
        SpecError: n is less than 2, or not less than the number of samples.
    """
    if not 2 <= n < features.n:
        raise SpecError(
            f"galleries: {n} samples of {features.n} do not make a smaller gallery; expected 2 to {features.n - 1}."
        )
    places = nested_order(features.n, 0)[:n]
    places.sort()
    return Subset(features, places, f"random {n}")


def models_of_base(experiment: Experiment) -> tuple[ModelSpec, ...]:
    """The models that are run on the dataset itself: all but those of a modality that variants alone have."""
    variants = experiment.recipe.variants.values()
    elsewhere = {variant.modality for variant in variants if not variant.reading} - {"language"}
    return tuple(model for model in experiment.models if model.modality not in elsewhere)


def _score_variant(experiment: Experiment, variant: Variant) -> tuple[AlignmentTable, list[Failure]]:
    variant_run, failures = _variant_run(experiment, variant)
    vision = [features for features in experiment.features if features.spec.model.modality == "vision"]
    facts = {} if variant.words is None else {"words": variant.words}
    pairs = list(itertools.product(variant_run.features, vision))
    return with_facts(score_pairs(variant_run, pairs, variant_run.metrics), [], **facts), failures


def _variant_run(experiment: Experiment, variant: Variant) -> tuple[Experiment, list[Failure]]:
    """Extracts the models that a variant takes on its dataset; models that fail are left out."""
    models = tuple(model for model in experiment.models if variant.takes(model))
    reading = {**experiment.reading, **variant.reading}
    extraction = extract_models(experiment.replace(dataset=variant.dataset, models=models, reading=reading))
    failed = {failure.model for failure in extraction.failures}
    kept = tuple(model for model in models if model.name not in failed)
    return extraction.experiment.replace(models=kept), extraction.failures


def variant_features(experiment: Experiment) -> tuple[dict[str, dict[str, Features]], list[Failure]]:
    """Features of the recipe's variants, by the names of the variant and the model; without those of no model."""
    features: dict[str, dict[str, Features]] = {}
    failures: list[Failure] = []
    for name, variant in experiment.recipe.variants.items():
        if not any(variant.takes(model) for model in experiment.models):
            continue
        run, failed = _variant_run(experiment, variant)
        features[name] = {model.name: model for model in run.features}
        failures += failed
    return features, failures


def _score_dataset(experiment: Experiment, dataset: DatasetSpec) -> tuple[AlignmentTable, list[Failure]]:
    """Scores of the same pairs of models on another dataset."""
    extraction = extract_models(experiment.replace(dataset=dataset))
    return score_models(extraction.experiment), extraction.failures


def _shuffled(experiment: Experiment) -> AlignmentTable:
    shuffles = Shuffles(seeds=experiment.recipe.shuffles, select=experiment.protocol.select)
    with bar("Shuffling pairs") as report:
        return shuffled_pairs(
            experiment.pairs,
            experiment.metrics[0],
            shuffles,
            clamp=experiment.clamp,
            resources=experiment.resources,
            progress=report,
        )


def _of(competence: CompetenceTable, models: set[Any]) -> pd.DataFrame:
    return competence.frame[competence.frame.model.isin(models)]


def _write(stem: Path, frame: pd.DataFrame) -> list[Path]:
    paths = [stem.with_suffix(".csv"), stem.with_suffix(".parquet")]
    write_atomically(paths[0], lambda p: frame.to_csv(p, index=False))
    write_atomically(paths[1], lambda p: frame.to_parquet(p, index=False, compression="zstd"))
    return paths
