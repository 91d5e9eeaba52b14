"""`platorep ls`: lists of the available choices, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from platorep.commands.experiment import Experiment
from platorep.commands.tables import plain_table
from platorep.core.errors import unknown_name
from platorep.core.progress import console_for_tables


GROUPS = {
    "suites": "suite",
    "datasets": "dataset",
    "protocols": "protocol",
    "metrics": "metric",
    "figures": "figure",
    "experiments": "reproduce",
}
"""Lists that show the files of a configuration group."""


def ls(experiment: Experiment, listing: str, folders: Sequence[Path]) -> None:
    """Prints one list.

    Args:
        experiment: `models` lists its suite, `features` the store under its root.
        listing: suites, datasets, models, metrics, figures, experiments, protocols, features or runs.
        folders: the folders of configuration files: the packaged one and those of --config-dir.

    Raises:
        UnknownNameError: there is no such list.
    """
    lists: dict[str, Callable[[], Table]] = {
        **{name: partial(choices, group, folders) for name, group in GROUPS.items()},
        "models": lambda: models(experiment),
        "features": lambda: features(experiment),
        "runs": lambda: runs(experiment),
    }
    if listing not in lists:
        raise unknown_name("list", listing, lists)
    console_for_tables().print(lists[listing]())


def choices(group: str, folders: Sequence[Path]) -> Table:
    """The files of a configuration group, with the comment that opens each."""
    table = plain_table(group, "description")
    files = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    for name, path in sorted(files.items()):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
        table.add_row(name, escape(" ".join(comments)))
    return table


def models(experiment: Experiment) -> Table:
    """The models of the suite."""
    table = plain_table("model", "modality", "family", "source", "id", "weights", "licence")
    for spec in experiment.models:
        dials = [f"noise {spec.weight_noise:g}"] if spec.weight_noise else []
        dials += [f"{spec.input_size} px"] if spec.input_size else []
        weights = ", ".join([spec.weights, *dials])
        table.add_row(spec.name, spec.modality, spec.family, spec.source, spec.id, weights, spec.licence)
    return table


def runs(experiment: Experiment) -> Table:
    """The runs under the root with their overrides, the latest last."""
    from platorep.results.outputs import Outputs

    table = plain_table("time", "command", "status", "seconds", "overrides", "results")
    for run in Outputs(experiment.root).runs.itertuples():
        results = sorted({result.rpartition("/")[0] for result in run.results})
        seconds = "" if run.seconds != run.seconds else f"{run.seconds:.0f}"
        table.add_row(run.time, run.command, run.status, seconds, run.overrides, "\n".join(results))
    return table


def features(experiment: Experiment) -> Table:
    """The stored extractions of all suites and datasets."""
    table = plain_table("model", "dataset", "samples", "layers", "size", "key", "revision")
    extractions, damaged = experiment.store.scan()
    for stored in extractions:
        size = sum(shard.bytes for shard in stored.shards)
        counts = str(stored.n), str(len(stored.layers)), f"{size / 1e6:.1f} MB"
        revision = (stored.spec.model.revision or "")[:20]
        table.add_row(stored.name, stored.spec.dataset.name, *counts, stored.key, revision)
    for broken in damaged:
        table.add_row(broken.path.name, broken.path.parent.name, "damaged: `platorep store verify` says how")
    return table
