"""Selects the scores of one run from all scores in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from platorep.core.errors import StoreError
from platorep.core.features import Features
from platorep.core.specs import ModelSpec
from platorep.results.facts import with_facts
from platorep.results.tables import AlignmentTable


def stored_alignment(
    folder: Path, models: Sequence[ModelSpec], features: Sequence[Features], metrics: Sequence[str], clip: str
) -> AlignmentTable:
    """The scores of these features by these metrics, in the order of metrics and models, with the models' facts.

    A folder holds the scores of every run on a dataset, and those on samples drawn from it. Rows belong to a run by the
    dataset and the keys of its features, not by the models' names: one name may have several settings.

    Args:
        folder: of the parts of one dataset.
        models: specs in the order of the suite.
        features: the features from which the scores must have been computed.
        metrics: ids.
        clip: id of the clamp.

    Raises:
        StoreError: there are no such scores.
    """
    parts = sorted(path for path in folder.glob("*.parquet") if not path.name.endswith(".samples.parquet"))
    if not parts:
        raise StoreError(f"no scores under {folder}. Run `platorep align` with the same settings first.")
    frame = AlignmentTable.load(parts).frame
    order = {model.name: place for place, model in enumerate(models)}
    here = (frame.dataset == folder.name) & frame.metric.isin(metrics) & (frame["clip"] == clip)
    rows = AlignmentTable(frame[here]).of_models({model.name: model.key for model in features}).frame
    if rows.empty:
        raise StoreError(
            f"no scores of this suite by {', '.join(metrics)} with clip {clip} under {folder}. "
            "Run `platorep align` with the same settings first."
        )
    rows = rows.assign(_x=rows.x_model.map(order), _y=rows.y_model.map(order))
    rows = rows.sort_values(["metric", "_x", "_y"], kind="stable").drop(columns=["_x", "_y"])
    return with_facts(AlignmentTable.from_frame(rows), [model.spec.model for model in features])


def unscored(
    alignment: AlignmentTable, pairs: Iterable[tuple[Features, Features]], metrics: Sequence[str]
) -> list[str]:
    """Names the pairs of models that have no row under a metric: their part was never made, or was removed.

    Layers for which a metric is undefined have rows without a score, so their pairs are not named.
    """
    scored = set(alignment.frame[["x_model", "y_model", "metric"]].itertuples(index=False, name=None))
    return [
        f"{x.name} and {y.name} by {metric}"
        for metric in metrics
        for x, y in pairs
        if (x.name, y.name, metric) not in scored
    ]
