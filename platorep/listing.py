"""`platorep ls`: what there is to choose from, as tables on the terminal."""

from __future__ import annotations

import logging
from typing import Any

from rich.table import Table

from platorep import pipeline
from platorep.config import config_dir
from platorep.core.errors import unknown_name
from platorep.progress import console_for_tables


log = logging.getLogger(__name__)


def show(what: str, cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Prints one list.

    Args:
        what: suites, datasets, models, metrics, figures, experiments, protocols or features.
        cfg: the configuration; `models` lists the chosen suite's, `features` those of the store under `root`.
        settings: where the store is.

    Raises:
        UnknownNameError: `what` is none of these.
    """
    lists = {
        "suites": lambda: _choices("suite"),
        "datasets": lambda: _choices("dataset"),
        "protocols": lambda: _choices("protocol"),
        "metrics": lambda: _choices("metric"),
        "figures": lambda: _choices("figure"),
        "experiments": lambda: _choices("reproduce"),
        "models": lambda: _models(cfg),
        "features": lambda: _features(settings),
    }
    if what not in lists:
        raise unknown_name("list", what, lists)
    console_for_tables().print(lists[what]())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _choices(group: str) -> Table:
    """The files of a configuration group, with the comment that opens each."""
    table = _table(group, "what it is")
    for path in sorted((config_dir() / group).glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
        table.add_row(path.stem, " ".join(comments))
    return table


def _models(cfg: dict[str, Any]) -> Table:
    table = _table("model", "modality", "family", "source", "id", "weights", "licence")
    for spec in pipeline.model_specs(cfg):
        dials = [f"noise {spec.weight_noise:g}"] if spec.weight_noise else []
        dials += [f"{spec.input_size} px"] if spec.input_size else []
        weights = ", ".join([spec.weights, *dials])
        table.add_row(spec.name, spec.modality, spec.family, spec.source, spec.id, weights, spec.licence)
    return table


def _features(settings: pipeline.Settings) -> Table:
    table = _table("model", "dataset", "samples", "layers", "size", "key", "revision")
    sets, damaged = settings.store.scan()
    for one in sets:
        size = sum(shard.bytes for shard in one.shards)
        revision = (one.spec.model.revision or "")[:20]
        table.add_row(
            one.name, one.spec.dataset.name, str(one.n), str(len(one.layers)), f"{size / 1e6:.1f} MB", one.key, revision
        )
    for one in damaged:
        log.warning("%s", one.error)
    return table
