"""One experiment from its configuration to its folder: `ROOT/reproduce/NAME/` with figure, data and comparison."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from platorep import pipeline, stages
from platorep.align.controls import shuffled_pairs
from platorep.core.errors import SpecError
from platorep.core.files import write_atomically
from platorep.core.progress import bar, console_for_tables
from platorep.core.store import FeatureSet
from platorep.pipeline import Settings
from platorep.results.published import compare, targets
from platorep.results.quantities import measured
from platorep.results.tables import AlignmentTable, CompetenceTable
from platorep.stats.permutations import nested_order


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subset:
    """A random sample of `n` of stored features' samples, with the same layers: a smaller gallery without another extraction.

    Subsets are nested, the same for all models, and keep the samples in the dataset's order.
    """

    whole: FeatureSet
    n: int

    def __post_init__(self) -> None:
        if not 2 <= self.n < self.whole.n:
            raise SpecError(
                f"galleries: {self.n} samples of {self.whole.n} are no smaller gallery; expected 2 to {self.whole.n - 1}."
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    @property
    def places(self) -> np.ndarray:
        """Which of the samples these are, ascending."""
        return np.sort(nested_order(self.whole.n, 0)[: self.n])

    @property
    def digest(self) -> str:
        """Of the samples that are left."""
        return f"{self.whole.digest}[random {self.n}]"

    @property
    def path(self) -> Path:
        """Where scores say that the features come from."""
        return (
            self.whole.path.parent.with_name(f"{self.whole.path.parent.name}[random {self.n}]") / self.whole.path.name
        )

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> Any:
        """As `FeatureSet.load`, of the samples that are left."""
        return self.whole.load(layer, device=device)[self.places[rows or slice(None)]]


def reproduce(cfg: dict[str, Any], settings: Settings) -> Path:
    """Runs the stages that are missing, draws the figure, and writes what is behind it and published values beside it.

    Args:
        cfg: a configuration of configs/reproduce, with its `recipe`.
        settings: how to compute and where things are.

    Returns:
        The folder: NAME.png, NAME.pdf; alignment, competence and comparison as .csv and .parquet.

    Raises:
        PlatorepError: a stage failed, or models did; what the others give is drawn before.
    """
    from platorep.figures import draw, save

    if len(cfg["figure"]) != 1:
        raise SpecError(f"an experiment draws one figure; got {', '.join(cfg['figure']) or 'none'}.")
    (name, options), out = next(iter(cfg["figure"].items())), settings.root / "reproduce" / cfg["recipe"]["name"]
    failed = stages.extract_models(cfg, settings)
    competence = stages.measure_competence(cfg, settings)
    scores, more = score(cfg, settings)
    failed += more
    with bar("Drawing") as report:
        report(0, 1, name)
        paths = save(draw(name, scores, competence, **(options or {})), out / cfg["recipe"]["name"])
    found = measured(name, scores, competence, **(options or {}))
    comparison = compare(found, targets(name), known=set(scores.frame.x_model) | set(scores.frame.y_model))
    best = scores.best()
    paths += (
        _write(out / "alignment", best)
        + _write(out / "competence", _of(competence, best))
        + _write(out / "comparison", comparison)
    )
    console_for_tables().print(_table(comparison))
    for path in paths:
        log.info("%s", path)
    stages.raise_failures(failed)
    return out


def score(cfg: dict[str, Any], settings: Settings) -> tuple[AlignmentTable, list[stages.Failure]]:
    """All scores of an experiment: the suite's on the dataset, or on its variants, and on its smaller galleries.

    Variants change the captions only: their language features are made, and scored against the dataset's vision features.
    """
    tables, failed = [], []
    if cfg["recipe"]["shuffles"]:
        tables.append(_shuffled(cfg, settings))
    elif not cfg["recipe"]["variants"]:
        tables.append(stages.score_models(cfg, settings))
    for variant, changes in cfg["recipe"]["variants"].items():
        table, more = _score_variant(cfg, settings, variant, changes)
        tables.append(table)
        failed += more
    if cfg["recipe"]["galleries"]:
        first = dict([next(iter(cfg["metric"].items()))])
        for n in cfg["recipe"]["galleries"]:
            for x, y, kind in pipeline.sides(pipeline.stored(cfg, settings), cfg["protocol"]["pairs"]):
                small = ([Subset(one, n) for one in side] for side in (x, y))
                tables.append(stages.score_block({**cfg, "metric": first}, settings, *small, pairs=kind))
    return AlignmentTable.concatenate(tables), failed


def _score_variant(
    cfg: dict[str, Any], settings: Settings, variant: str, changes: dict[str, Any]
) -> tuple[AlignmentTable, list[stages.Failure]]:
    own = {**cfg, "dataset": _merged(cfg["dataset"], changes) | {"name": variant}, "only": None}
    own["models"] = {spec.name: spec.to_dict() for spec in pipeline.model_specs(cfg) if spec.modality == "language"}
    failed = stages.extract_models(own, settings)
    for one in failed:
        del own["models"][one.model]
    vision = [one for one in pipeline.stored(cfg, settings) if one.spec.model.modality == "vision"]
    return stages.score_block(own, settings, pipeline.stored(own, settings), vision), failed


def _shuffled(cfg: dict[str, Any], settings: Settings) -> AlignmentTable:
    tables, metric = [], pipeline.built_metrics(cfg)[0]
    for x, y, _ in pipeline.sides(pipeline.stored(cfg, settings), "cross"):
        with bar("Shuffling pairs") as report:
            tables.append(
                shuffled_pairs(
                    x, y, metric, seeds=cfg["recipe"]["shuffles"], progress=report, **stages.how_to_score(cfg, settings)
                )
            )
    return AlignmentTable.concatenate(tables)


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """`other` over `one`, mappings within mappings merged."""
    return one | {
        k: _merged(one[k], v) if isinstance(v, dict) and isinstance(one.get(k), dict) else v for k, v in other.items()
    }


def _of(competence: CompetenceTable, best: pd.DataFrame) -> pd.DataFrame:
    frame = competence.frame
    return frame[frame.model.isin({*best.x_model, *best.y_model})]


def _write(stem: Path, frame: pd.DataFrame) -> list[Path]:
    paths = [stem.with_suffix(".csv"), stem.with_suffix(".parquet")]
    write_atomically(paths[0], lambda p: frame.to_csv(p, index=False))
    write_atomically(paths[1], lambda p: frame.to_parquet(p, index=False, compression="zstd"))
    return paths


SHOWN = 40
"""Rows of the comparison that go to the terminal; all are in its file."""


def _table(comparison: pd.DataFrame) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("quantity", "published", "measured", "difference", "agrees", "source", "trust"):
        table.add_column(column, overflow="fold")
    for row in comparison.head(SHOWN).itertuples():
        what = row.quantity + (f": {row.x} x {row.y}" if row.x or row.y else "")
        value = f"{row.measured:.3g}" if row.measured == row.measured else "not measured"
        value += f" [{row.low:.3g}, {row.high:.3g}]" if row.low == row.low else ""
        difference = f"{row.difference:+.3g}" if row.difference == row.difference else ""
        table.add_row(what, row.published, value, difference, row.agrees, row.source, row.trust)
    if len(comparison) > SHOWN:
        table.add_row(f"{len(comparison) - SHOWN} more in comparison.csv")
    return table
