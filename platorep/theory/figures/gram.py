"""Experiment (a) of the theory: learned Gram matrices against K_PMI."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import style


@style.styled
def theory_gram(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Above: K_PMI and the Gram matrices that the two modalities learned. Below: correlation and offset by step.

    Args:
        tables: those of `platorep.theory.gram.gram`.
    """
    history, summary, matrices, world = (tables[name] for name in ("history", "summary", "matrices", "world"))
    figure, axes = style.panels(1, 5, panel=(1.12, 1.12), left=0.5, right=0.75, bottom=2.85, top=0.5, gap=(0.12, 0))
    width, height = figure.get_size_inches()
    shown = [("K_PMI", "world"), *((o, m) for o in ("nce", "infonce") for m in ("x", "y"))]
    grids = [
        matrices[(matrices.objective == o) & (matrices.modality == m)]
        .pivot(index="a", columns="b", values="value")
        .to_numpy()
        for o, m in shown
    ]
    centred = [g - g.mean() for g in grids]
    limit = max(np.abs(g).max() for g in centred)
    low = min(g.min() for g in centred)
    for panel, grid, (objective, modality) in zip(axes, centred, shown, strict=True):
        image = panel.imshow(grid, cmap=style.HEAT, vmin=low, vmax=limit, interpolation="nearest")
        panel.set_xticks([])
        panel.set_yticks([])
        name = "true $K_{PMI}$" if modality == "world" else f"{objective}, modality {modality}"
        panel.set_title(name, fontsize=style.SMALL, pad=3)
    axes[0].set_ylabel("event")
    box = axes[-1].get_position()
    bar = figure.add_axes((box.x1 + 0.08 / width, box.y0, 0.08 / width, box.height))
    figure.colorbar(image, cax=bar, label="less its mean")
    bar.tick_params(labelsize=style.SMALL)

    plots = [figure.add_axes((x / width, 0.82 / height, 2.35 / width, 1.55 / height)) for x in (0.5, 3.6)]
    looks = style.categorical(2)
    for look, objective in zip(looks, ("nce", "infonce"), strict=True):
        for modality in ("x", "y"):
            rows = history[(history.objective == objective) & (history.modality == modality)]
            line = look.line() | {
                "linestyle": "-" if modality == "x" else "--",
                "marker": "o" if modality == "x" else "s",
                "markersize": 2.5,
            }
            plots[0].plot(rows.step + 1, rows.correlation, **line, label=f"{objective}, {modality}")
            plots[1].plot(rows.step + 1, rows.offset, **line, label=f"{objective}, {modality}")
    predicted, needed = summary.predicted_offset.dropna().iloc[0], world.offset_needed.iloc[0]
    marks = [
        (predicted, style.INK, "nce's prediction,\nlog(p/(1 − p))"),
        (needed, style.MUTED, "smallest constant\nof a Gram matrix"),
    ]
    for value, color, text in marks:
        if np.isfinite(value):
            plots[1].axhline(value, color=color, linewidth=0.7, linestyle=":")
            plots[1].text(
                1.02,
                value,
                text,
                transform=plots[1].get_yaxis_transform(),
                fontsize=style.SMALL,
                ha="left",
                va="center",
                color=color,
            )
    plots[0].set_title("correlation with $K_{PMI}$", loc="left")
    plots[1].set_title("offset: mean of Gram less $K_{PMI}$ (nats)", loc="left")
    for plot in plots:
        plot.set_xscale("log")
        plot.set_xlabel("training step + 1")
    plots[0].legend(loc="lower right")
    figure.text(
        0.5 / width,
        1 - 0.1 / height,
        f"Gram matrices of the {world.world.iloc[0]} world, {world.events.iloc[0]} events",
        weight="bold",
        va="top",
    )
    worst = summary[summary.objective.isin(["nce", "infonce"])]
    text = (
        f"nce and infonce at the end: 1 − correlation at most {max(0.0, 1 - worst.correlation.min()):.0e}, "
        f"modalities apart by at most {100 * worst.difference.max():.2g} % of the spread of K_PMI.\n"
        "x: table of vectors over one bijection; y: network on the random codes of another."
    )
    style.note(figure, text, 0.5)
    return figure
