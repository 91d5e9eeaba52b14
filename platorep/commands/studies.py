"""Tables of the experiments in `platorep.studies`: computed once per configuration and kept on disk."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from platorep.commands.experiment import Experiment
from platorep.commands.stored import code_of, table_path
from platorep.core.errors import SpecError, unknown_name
from platorep.core.features import Features
from platorep.core.progress import bar
from platorep.core.rows import rows_of
from platorep.core.version import __version__
from platorep.results import views
from platorep.results.studies import StudyTable


log = logging.getLogger(__name__)

STUDIES: tuple[str, ...] = (
    "coarse",
    "direction",
    "generated",
    "imbalance",
    "languages",
    "matching",
    "negatives",
    "several",
)
"""Experiments with a table of their own: modules of `platorep.studies`, each with a function of its name."""


def study_table(
    experiment: Experiment,
    name: str,
    chosen: pd.DataFrame,
    variants: Mapping[str, Mapping[str, Features]] | None = None,
) -> StudyTable:
    """The table of one experiment on the chosen layers of language and vision models; read from disk if present.

    Args:
        experiment: `recipe.study` has the options, and `models` the models to which the experiment is limited.
        name: name of the experiment.
        chosen: one row per pair of models, with the layers that the protocol chooses.
        variants: features of the recipe's variants of the dataset.

    Raises:
        UnknownNameError: there is no such experiment.
        SpecError: the experiment does not have an option, or there is no pair of a language and a vision model.
    """
    from platorep.studies.layers import Inputs

    if name not in STUDIES:
        raise unknown_name("experiment with a table of its own", name, STUDIES)
    pairs = layer_pairs(views.pairs(chosen, experiment.metrics[0].id, experiment.dataset_folder.name))
    options = dict(experiment.recipe.study)
    if (models := options.pop("models", None)) is not None:
        pairs = pairs[pairs.x_model.isin(models) & pairs.y_model.isin(models)].reset_index(drop=True)
    if pairs.empty:
        raise SpecError("the experiment compares language with vision models, and none of the chosen pairs is one.")
    path = _path(experiment, name, pairs)
    if path.is_file() and not experiment.overwrite:
        return StudyTable.load([path])
    inputs = Inputs(
        models=experiment.features,
        pairs=pairs,
        categories=experiment.samples.categories,
        variants=variants or {},
        rows=_rows(experiment, variants or {}),
        ids=_ids(experiment, variants or {}),
        similarity=experiment.metrics[0].similarity,
        clamp=experiment.clamp,
        resources=experiment.resources,
        seed=experiment.statistics.seed,
    )
    function = getattr(importlib.import_module(f"platorep.studies.{name}"), name)
    with bar("Measuring") as report:
        try:
            table: StudyTable = function(inputs, progress=report, **options)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise SpecError(f"recipe.study: {error}.") from None
    table.write(path)
    log.info("%s", path)
    return table


def _rows(experiment: Experiment, variants: Mapping[str, Mapping[str, Features]]) -> dict[str, list[int]]:
    """The sample of every row, by the variant's name, of variants whose captions or pictures multiply the items."""
    rows = {}
    for name, features in variants.items():
        spec = next((one.spec for one in features.values()), None)
        if spec is not None and spec.combine == "multiply_items" and "all" in (spec.caption, spec.picture):
            samples = experiment.store.read_samples(experiment.store.dataset_dir(spec.dataset))
            rows[name] = [row.sample for row in rows_of(spec, samples)]
    return rows


def _ids(experiment: Experiment, variants: Mapping[str, Mapping[str, Features]]) -> dict[str, list[str]]:
    """Ids of the samples of the dataset and its variants, by the name of the dataset."""
    names = {
        experiment.dataset_folder.name,
        *(one.dataset for features in variants.values() for one in features.values()),
    }
    return {name: experiment.store.read_samples(experiment.store.root / name).ids for name in sorted(names)}


def layer_pairs(chosen: pd.DataFrame) -> pd.DataFrame:
    """The chosen layers of every pair of a language model, as x, and a vision model, as y."""
    turned = {
        f"{a}_{column}": f"{b}_{column}" for a, b in ("xy", "yx") for column in ("model", "key", "modality", "layer")
    }
    backward = chosen[(chosen.x_modality == "vision") & (chosen.y_modality == "language")].rename(columns=turned)
    forward = chosen[(chosen.x_modality == "language") & (chosen.y_modality == "vision")]
    columns = ["dataset", "metric", "x_model", "x_layer", "y_model", "y_layer", "score"]
    return pd.concat([forward, backward])[columns].reset_index(drop=True)


def _path(experiment: Experiment, name: str, pairs: pd.DataFrame) -> Path:
    recipe = experiment.recipe
    code = code_of(
        experiment,
        version=__version__,
        pairs=pairs.drop(columns="score").to_dict("list"),
        variants={
            variant: spec.dataset.identity() | ({"reading": dict(spec.reading)} if spec.reading else {})
            for variant, spec in recipe.variants.items()
        },
        options=dict(recipe.study),
    )
    return table_path(experiment, "studies", code, title=name)
