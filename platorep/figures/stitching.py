"""Penalty of stitched networks by layer beside their controls, and the matrix of all pairs of layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import heat, layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.labels import title_of
from platorep.results.stitching import StitchingTable, network_name


SENDERS = {
    "": "another seed",
    "unrelated": "another task",
    "noise": "noise by class",
    "random": "random weights",
    "pixels": "pixels",
    "shuffled": "pairs broken",
    "probe": "linear probe of sender",
}
"""Controls that are drawn, with their words."""

METHODS = {"direct": "direct matching", "task": "task-loss matching"}
LEFT = 0.6


@figure("stitching")
def stitching(data: FigureData) -> Plot:
    """One row per kind of network: the penalty by layer for each method, and the two matrices of accuracy.

    Left: receiver's error with the layer of a sender in the place of its own, less its error without; corresponding
    layers, means over pairs, for another seed and for every control. Pixels and the probe have one line in both panels.
    Right: accuracy of every layer of the sender (down) in every layer of the receiver (across), means over pairs of
    seeds.

    Args:
        data: the table of `platorep stitch`.
    """
    table: StitchingTable = data.require("stitching")
    frame = table.frame[table.frame["rank"] == 0]
    kinds = list(dict.fromkeys(zip(frame.architecture, frame.width, strict=True)))
    known = [name for name in SENDERS if name in set(frame.control)]
    looks = dict(zip(known, style.categorical(len(known)), strict=True))
    words = SENDERS | ({"": "another network"} if table.pretrained else {})
    names = [words[name] for name in known]
    margins = Margins(LEFT, marks.tag_width(names) + 0.05, 0.45, 0.3, across=0.5, down=0.8)
    grid = layout.panels(4 * len(kinds), 4, (1.3, 1.3), margins, note=_note(table), least=1.0, wraps="halves")
    drawn = []
    for row, (architecture, width) in enumerate(kinds):
        panels = grid.axes[4 * row : 4 * row + 4]
        part = frame[(frame.architecture == architecture) & (frame.width == width)]
        title = network_name(architecture, width)
        lines = [_lines(part, method) for method in METHODS]
        cells = [_matrix(table, method, architecture, width) for method in METHODS]
        top = max(float(line.penalty.max()) for line in lines)
        low = min(0.0, *(float(line.penalty.min()) for line in lines))
        for panel, line, method in zip(panels[:2], lines, METHODS.values(), strict=True):
            _penalties(panel, line, looks)
            panel.set_ylim(low - 0.04 * (top - low), top + 0.04 * (top - low))
            panel.set_title(f"{title}, {method.partition(' ')[0]}", loc="left")
        panels[0].set_ylabel("penalty, share of pictures")
        floor = min(float(np.nanmin(cell)) for cell in cells)
        for panel, cell, method in zip(panels[2:], cells, METHODS.values(), strict=True):
            size = heat.printed_size(layout.inches(panel)[0] / cell.shape[1], 2)
            heat.heat(panel, cell, floor, 1.0, size, 2)
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_ticks(range(len(cell)), [str(number + 1) for number in range(len(cell))])
            panel.set_xlabel("receiver's layer")
            panel.set_ylabel("sender's layer")
            panel.set_title(f"accuracy, {method.partition(' ')[0]}", loc="left")
        drawn += [line.assign(architecture=architecture, width=width) for line in lines]
    marks.key_right(grid.axes[grid.columns - 1], list(zip(names, looks.values(), strict=True)))
    return Plot(grid.figure, pd.concat(drawn, ignore_index=True))


def _lines(part: pd.DataFrame, method: str) -> pd.DataFrame:
    """Mean penalty by control and layer of the receiver."""
    same = part[(part.x_layer == part.y_layer) | (part.control == "pixels")]
    kept = same[(same.method == method) | (same.control == "probe")]
    return kept.groupby(["control", "y_layer"]).penalty.mean().reset_index().assign(method=method)


def _penalties(panel: Axes, line: pd.DataFrame, looks: dict[str, style.Look]) -> None:
    for name, look in looks.items():
        values = line[line.control == name].sort_values("y_layer")
        panel.plot(values.y_layer + 1, values.penalty, label=SENDERS[name], zorder=3, **look.line())
    panel.axhline(0, color=style.INK, linewidth=0.8, linestyle=":", zorder=1, label="none")
    layers = sorted(line.y_layer.unique())
    panel.set_xticks([number + 1 for number in layers])
    panel.set_xlim(0.7, max(layers) + 1.3)
    panel.set_xlabel("layer")


def _matrix(table: StitchingTable, method: str, architecture: str, width: int) -> np.ndarray:
    """Mean accuracy, sender's layers by receiver's layers."""
    cells = table.cells(method)
    cells = cells[(cells.architecture == architecture) & (cells.width == width)]
    return cells.pivot(index="x_layer", columns="y_layer", values="accuracy").to_numpy()


def _note(table: StitchingTable) -> str:
    frame = table.frame
    sizes = frame.drop_duplicates(["architecture", "width"])
    tests, fits = (" and ".join(f"{n:,}" for n in dict.fromkeys(sizes[name])) for name in ("n_test", "n_fit"))
    kind = "test pictures or text blocks" if table.pretrained else "test pictures"
    note = f"{title_of(frame.dataset.iloc[0])}, {tests} {kind}, maps fitted on {fits}. "
    parts = [
        f"{network_name(row.architecture, row.width)} {METHODS[method].partition(' ')[0]} {row.specificity:.2f}"
        for method in METHODS
        for row in table.specificity(method).itertuples()
    ]
    note += f"Share of senders' layers that fit the receiver's corresponding layer best: {', '.join(parts)}. "
    return note + "Senders that know nothing but the class stitch too: a low penalty is functional compatibility only."
