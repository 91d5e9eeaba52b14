"""Converts scores of maps to the rows of their table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from platorep.core.version import __version__
from platorep.maps.cells import Cell
from platorep.maps.layers import TRIVIAL_SOURCES, LayerOf, Pair
from platorep.maps.measures import Measure
from platorep.results.facts import facts
from platorep.results.translation import SELF, SHUFFLED, TranslationTable


class Block(NamedTuple):
    """Scores of one pair of layers in one split with one number of anchors.

    Attributes:
        pair: the layers.
        control: the kind of control that the pair is; empty for two trained models.
        n_fit: number of anchors.
        n_test: number of test samples.
        seed: seed of the split.
        kernel: kernel score on the test samples, and its chance.
        cells: every map, with the same map from broken pairs if that was fitted.
    """

    pair: Pair
    control: str
    n_fit: int
    n_test: int
    seed: int
    kernel: tuple[float, float]
    cells: Sequence[tuple[Cell, Cell | None]]


def table(blocks: Sequence[Block], common: Mapping[str, Any]) -> TranslationTable:
    """One row per measure: those of a map, and those of the same map from broken pairs as the control "shuffled".

    Args:
        blocks: scores, in the order of the rows.
        common: columns that are the same in all rows.
    """
    cells, lengths, names, values = [], [], [], []
    for block in blocks:
        for cell, control, null in _with_controls(block):
            cells.append((block, cell, control))
            lengths.append(len(cell.scores))
            for name, measure in cell.scores.items():
                names.append(name)
                values.append((*measure, np.nan if null is None else null[name].score))
    repeated = {name: np.repeat(column, lengths) for name, column in _columns(cells).items()}
    scores = pd.DataFrame(np.array(values), columns=[*Measure._fields, "null_mean"])
    frame = pd.DataFrame(repeated).assign(measure=names).join(scores)
    return TranslationTable.from_frame(frame[frame.score.notna()].assign(**common, version=__version__))


def _with_controls(block: Block) -> Iterator[tuple[Cell, str, dict[str, Measure] | None]]:
    """Each cell, the name of its control, and the scores of its broken pairs."""
    for true, broken in block.cells:
        yield true, block.control, None if broken is None else broken.scores
        if broken is not None:
            yield broken, SHUFFLED, None


def _columns(cells: Sequence[tuple[Block, Cell, str]]) -> dict[str, np.ndarray]:
    """Columns of cells, before they are repeated for each measure."""
    columns: dict[str, list[Any]] = {
        "experiment": [cell.experiment for _, cell, _ in cells],
        "direction": [cell.direction for _, cell, _ in cells],
        "control": [control for _, _, control in cells],
        "map": [cell.map for _, cell, _ in cells],
        "strength": [cell.strength for _, cell, _ in cells],
        "freedom": [cell.freedom for _, cell, _ in cells],
        "n_fit": [block.n_fit for block, _, _ in cells],
        "n_test": [block.n_test for block, _, _ in cells],
        "seed": [block.seed for block, _, _ in cells],
        "kernel": [block.kernel[0] for block, _, _ in cells],
        "kernel_chance": [block.kernel[1] for block, _, _ in cells],
    }
    for side in "xy":
        known: dict[tuple[str, int], dict[str, Any]] = {}
        described = []
        for block, _, _ in cells:
            layer = getattr(block.pair, side)
            if layer.key not in known:
                known[layer.key] = _layer_facts(layer)
            itself = side == "y" and layer.key == block.pair.x.key
            described.append(known[layer.key] | ({"model": SELF} if itself else {}))
        for name in described[0]:
            columns[f"{side}_{name}"] = [row[name] for row in described]
    dtypes = {name: object if isinstance(column[0], str) else None for name, column in columns.items()}
    return {name: np.array(column, dtype=dtypes[name]) for name, column in columns.items()}


def _layer_facts(layer: LayerOf) -> dict[str, Any]:
    model = layer.model.spec.model
    every, known = layer.model.layers, facts(model)
    return {
        "model": layer.model.name,
        "key": layer.model.key,
        "modality": model.modality,
        "family": model.family,
        "weights": "none" if model.source in TRIVIAL_SOURCES else known["weights"],
        "dial": known["dial"],
        "dose": known["dose"],
        "layer": layer.index,
        "layer_name": layer.name,
        "width": sum(part.dim for part in every) if layer.index < 0 else every[layer.index].dim,
    }
