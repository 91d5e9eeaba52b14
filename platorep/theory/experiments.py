"""The experiments by name. Each computes tables from a world, and draws a figure of the tables."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from platorep.core.errors import SpecError, unknown_name
from platorep.core.files import write_atomically
from platorep.theory import worlds


log = logging.getLogger(__name__)


class Experiment(NamedTuple):
    """An experiment and its default world.

    Attributes:
        summary: one line for `platorep ls`.
        world: the default world; None for an experiment that builds its own worlds.
    """

    summary: str
    world: str | None


EXPERIMENTS = {
    "gram": Experiment("learned Gram matrices against K_PMI plus the predicted constant, two modalities", "ring"),
    "agreement": Experiment("agreement of modalities under bijections, and capped under lossy and noisy views", "ring"),
    "capacity": Experiment("dimension and width below and above the rank of the world's kernel", "low_rank"),
    "tasks": Experiment("agreement of networks against the number of tasks that they solve", "low_rank"),
    "simplicity": Experiment("agreement under weight decay and small initial weights, at the same loss", "low_rank"),
    "failures": Experiment("a world without a Gram matrix, different worlds, a lossier modality", "unrepresentable"),
    "instruments": Experiment("size, power and interval coverage of every metric at known ground truth", None),
    "sharing": Experiment("what observations of another modality and pairs are worth, for one kernel", "low_rank"),
    "translation": Experiment("pairs that it takes to match modalities, down to none, against alignment", "markov"),
    "scale": Experiment("alignment of a table and a network against data, parameters and compute", "low_rank"),
    "colour": Experiment("the paper's figure 8: colours in pictures and in language beside CIELAB", None),
}
"""Each name is a module here with a function of that name, and a figure `theory_NAME` of the tables it returns."""


def known() -> list[str]:
    """Names that `run` accepts, in order."""
    return list(EXPERIMENTS)


def run(experiment: str, out_dir: Path, /, *, world: Mapping[str, Any] | None = None, **options: Any) -> list[Path]:
    """Runs one experiment and writes its tables and its figure to `out_dir`/`experiment`.

    Tables are written as parquet and CSV, the figure as PNG and PDF.

    The same options give the same bytes on one machine, whatever its number of threads: an experiment uses one thread.

    Args:
        experiment: one of `known()`.
        out_dir: folder in which every experiment has a folder.
        world: name and parameters of a world, {"name": "grid", "side": 8}; by default that of the experiment.
        options: keyword arguments of the experiment's function.

    Returns:
        The paths of the written files, figures first.

    Raises:
        UnknownNameError: the experiment, world or option does not exist.
        SpecError: a world is given to an experiment that builds its own, or a value is invalid.
    """
    if experiment not in EXPERIMENTS:
        raise unknown_name("experiment", experiment, EXPERIMENTS)
    entry = EXPERIMENTS[experiment]
    function = getattr(importlib.import_module(f"platorep.theory.{experiment}"), experiment)
    allowed = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in allowed:
            raise unknown_name(f"option of experiment {experiment}", option, allowed)
    if entry.world is None and world:
        raise SpecError(f"experiment {experiment!r} builds its own worlds; it takes no world (got {dict(world)}).")
    with _one_thread():
        if entry.world is None:
            tables = function(**options)
        else:
            tables = function(worlds.build(**(dict(world) if world else {"name": entry.world})), **options)
    return _write(experiment, tables, Path(out_dir) / experiment)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Computes on one thread, because the matrices are small and several threads would mostly wait for each other.

    With two threads on two busy cores, `instruments` took 8 to 28 times as long, and an eigendecomposition of a 64 x 64
    matrix 38 times.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # NumPy's and SciPy's linear algebra
            yield
    finally:
        torch.set_num_threads(threads)


def _write(experiment: str, tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    from platorep.figures import style

    figure = getattr(importlib.import_module(f"platorep.theory.figures.{experiment}"), f"theory_{experiment}")
    paths = style.save(figure(tables), folder / experiment)
    for name, table in tables.items():
        parquet, csv = folder / f"{name}.parquet", folder / f"{name}.csv"
        write_atomically(parquet, partial(table.to_parquet, index=False, compression="zstd"))
        write_atomically(csv, partial(table.to_csv, index=False, float_format="%.6g"))
        paths += [parquet, csv]
    log.info("%s: %d files in %s", experiment, len(paths), folder)
    return paths
