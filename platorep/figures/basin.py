"""Accuracy along lines between trained networks, before and after matching, and barriers beside mutual k-NN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from platorep.figures import layout, marks, style
from platorep.figures.data import FigureData, Plot, figure
from platorep.figures.layout import Margins
from platorep.results.basin import GROUP, PAIR, BasinTable
from platorep.results.labels import metric_label, title_of


LINES = {
    "none": "as they are",
    "weights": "weights matched",
    "weights+repair": "weights matched, REPAIR",
    "activations+repair": "activations matched, REPAIR",
    "ensemble": "mean of logits",
}
"""Methods that are drawn, with their words."""

FORK = "fork"
MATCHED = "weights+repair"
LEFT = 0.55


@figure("basin")
def basin(data: FigureData) -> Plot:
    """One panel per architecture and width: test accuracy along the line. Last panel: barriers against mutual k-NN.

    Lines are means over pairs of seeds after the last epoch. The fork is that which shares the most epochs. In the last
    panel, each kind of pair has an open mark for the barrier of the weights as they are and a filled one after matching
    and REPAIR, at the mean score of the same layers; a thin line joins the two. Earlier epochs have smaller marks.

    Args:
        data: the table of `platorep basin`.
    """
    table: BasinTable = data.require("basin")
    rows = table.frame
    paths = rows[(rows.experiment == "path") & (rows.quantity == "test_accuracy")]
    last = paths[paths.relation == "seeds"].groupby(["architecture", "width"], sort=False).epoch.max()
    looks = dict(zip([*LINES, FORK], style.categorical(len(LINES) + 1), strict=True))
    names = [*LINES.values(), "fork, as it is"]
    margins = Margins(LEFT, marks.tag_width(names) + 0.05, 0.45, 0.3, across=0.5, down=0.75)
    columns = min(3, len(last) + 1)
    note = _note(rows)
    grid = layout.panels(len(last) + 1, columns, (1.6, 1.5), margins, note=note, least=0.9, wraps=True)
    drawn = []
    for panel, ((architecture, width), epoch) in zip(grid.axes, last.items(), strict=False):
        part = paths[(paths.architecture == architecture) & (paths.width == width) & (paths.epoch == epoch)]
        drawn.append(_lines(panel, part, looks))
        panel.set_title(f"{architecture}, width {width}", loc="left")
        panel.set_xlabel("share of one network")
        panel.set_ylabel("test accuracy")
    low = min(float(part.value.min()) for part in drawn)
    for panel in grid.axes[:-1]:
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(max(0.0, low - 0.05), 1.0)
    beside = _beside(grid.axes[-1], table, looks)
    grid.axes[-1].set_title("barrier and kernel", loc="left")
    marks.key_right(grid.axes[grid.columns - 1], list(zip(names, looks.values(), strict=True)))
    return Plot(grid.figure, pd.concat([*drawn, beside], ignore_index=True))


def _lines(panel: Axes, part: pd.DataFrame, looks: dict[str, style.Look]) -> pd.DataFrame:
    """Means over pairs at each place: seeds by method, then the fork."""
    seeds, forks = part[part.relation == "seeds"], part[(part.relation == FORK) & (part.method == "none")]
    drawn = []
    for method in LINES:
        drawn.append(seeds[seeds.method == method].assign(line=method))
    if len(forks):
        drawn.append(forks[forks.shared == forks.shared.max()].assign(line=FORK))
    keys = ["line", *GROUP, "share"]
    means = pd.concat(drawn).groupby(keys, sort=False).value.mean().reset_index()
    for line, values in means.groupby("line", sort=False):
        panel.plot(values.share, values.value, label=line, zorder=3, **looks[str(line)].line(), markersize=2.2)
    return means


def _beside(panel: Axes, table: BasinTable, looks: dict[str, style.Look]) -> pd.DataFrame:
    """Barriers of the test loss against kernel scores: one point per kind of pair and method."""
    barriers = table.barriers("test_loss")
    kept = barriers[barriers.method.isin(["none", MATCHED]) & (barriers.relation == "seeds")]
    scores = table.kernels().rename(columns={"value": "kernel"})
    joined = kept.merge(scores, on=PAIR, validate="many_to_one")
    columns = ["barrier", "kernel", "chance"]
    points = joined.groupby([*GROUP, "method"], sort=False)[columns].mean().reset_index()
    points["line"] = points.method
    last = points.groupby(["architecture", "width"]).epoch.transform("max")
    for (_, _, epoch), both in points.groupby(["architecture", "width", "epoch"], sort=False):
        panel.plot(both.kernel, both.barrier, color=style.FAINT, linewidth=0.6, zorder=1)
        for _, row in both.iterrows():
            look = looks[row.method]
            size = 3.6 if epoch == last[row.name] else 2.2
            more: dict[str, Any] = look.line() | {"linestyle": "", "markersize": size}
            if row.method == "none":
                more |= {"markerfacecolor": "white", "markeredgecolor": look.color}
            panel.plot([row.kernel], [row.barrier], zorder=3, **more)
    panel.set_xlim(0, min(1.0, 1.15 * float(np.nanmax(points.kernel))))
    panel.set_ylim(bottom=-0.04 * float(points.barrier.max() or 1.0))
    panel.set_xlabel("mutual k-NN, mean of layers")
    panel.set_ylabel("barrier of test loss, nats")
    return points


def _note(rows: pd.DataFrame) -> str:
    tests = rows[rows.experiment == "path"].query("quantity == 'test_accuracy'").n.max()
    metric = next(name for name in rows.metric if name)
    shared = rows[rows.relation == FORK].shared.max()
    note = f"{title_of(rows.dataset.iloc[0])}, {tests:,} test pictures; means over pairs of seeds. "
    if shared == shared:
        note += f"Fork: other order of the pictures after {shared:.0f} shared epochs. "
    note += (
        f"Last panel: {metric_label(metric)}; open as they are, filled matched with REPAIR, small after fewer epochs. "
    )
    return note + "A barrier is not alignment: kernels do not see permutations."
