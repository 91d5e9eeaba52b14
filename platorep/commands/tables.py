"""Tables that commands print on the terminal."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from platorep.results.basin import BasinTable
from platorep.results.labels import metric_label
from platorep.results.stitching import StitchingTable, network_name
from platorep.results.tables import GalleryTable
from platorep.results.translation import LADDER, TranslationTable, at_all_anchors


SHOWN = 40
"""Largest number of rows that are printed; the file has all of them."""

BEST = 10
"""Number of pairs of models that `align` prints."""


def plain_table(*columns: str) -> Table:
    """An empty table without a frame."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def best_pairs_table(chosen: pd.DataFrame) -> Table:
    """The pairs of models with the highest scores, metric by metric: layers, score, interval, null, corrected p.

    Args:
        chosen: rows of `platorep.results.protocols.chosen`.
    """
    table = plain_table("pair", "layers", "score", "95 %", "null", "p (family)", "metric")
    for metric in chosen.metric.unique():
        rows = chosen[chosen.metric == metric].sort_values("score", ascending=False, kind="stable")
        for row in rows.head(BEST).itertuples():
            interval = "–" if row.low != row.low else f"{row.low:.3f} to {row.high:.3f}"
            null = "–" if row.null_mean != row.null_mean else f"{row.null_mean:.4f}"
            p = "–" if row.p_family != row.p_family else f"{row.p_family:.2g}"
            layers = f"{row.x_layer_name} × {row.y_layer_name}"
            values = f"{row.score:.4f}", interval, null, p
            table.add_row(f"{row.x_model} × {row.y_model}", layers, *values, metric_label(metric))
        if len(rows) > BEST:
            table.add_row(f"{len(rows) - BEST} more pairs in the table")
    return table


def gallery_table(table: GalleryTable) -> Table:
    """The chosen layer pair of every pair of models, in every gallery."""
    best, shown = table.best(), plain_table()
    for column in ("pair", "gallery", "k", "score", "95 % over queries", "chance", "corrected"):
        shown.add_column(column, justify="left" if column == "pair" else "right")
    for row in best.head(SHOWN).itertuples():
        values = f"{row.score:.4f}", f"{row.low:.4f} to {row.high:.4f}", f"{row.chance:.4f}", f"{row.corrected:.4f}"
        shown.add_row(f"{row.x_model} × {row.y_model}", f"{row.n:,}", str(row.k), *values)
    if len(best) > SHOWN:
        shown.add_row(f"{len(best) - SHOWN} more in the table")
    return shown


def translation_table(table: TranslationTable) -> Table:
    """The pairs of models with the best maps: recall at 10 of each map, averaged over both directions."""
    rows = at_all_anchors(table, "recall_at_10")
    maps = [name for name in LADDER if name in rows]
    shown = plain_table()
    for column in ("pair", "anchors", *maps, "chance", "broken pairs", "kernel", "its chance"):
        shown.add_column(column, justify="left" if column == "pair" else "right")
    order = rows[maps].max(axis=1).sort_values(ascending=False, kind="stable").index
    for row in rows.loc[order[:BEST]].to_dict("records"):
        best = max(row[name] for name in maps if row[name] == row[name])
        scores = ["–" if row[n] != row[n] else f"{'[bold]' if row[n] == best else ''}{row[n]:.3f}" for n in maps]
        rest = (f"{row[name]:.3f}" for name in ("chance", "null_mean", "kernel", "kernel_chance"))
        shown.add_row(f"{row['x_model']} × {row['y_model']}", str(row["n_fit"]), *scores, *rest)
    if len(rows) > BEST:
        shown.add_row(f"{len(rows) - BEST} more pairs in the table")
    return shown


def basin_summary(table: BasinTable) -> Table:
    """Accuracy at the middle of the line by kind of pair, for each way of matching; means over pairs."""
    means = table.means("test_accuracy")
    methods = list(dict.fromkeys(means.method))
    kinds = ["architecture", "width", "epoch", "relation", "shared"]
    shown = plain_table("networks", "epochs", "relation", "pairs", "ends", *methods)
    for (architecture, width, epoch, relation, shared), rows in means.groupby(kinds, sort=False):
        at = dict(zip(rows.method, rows.middle, strict=True))
        related = f"{relation} after {shared}" if relation == "fork" else str(relation)
        facts = f"{architecture}-{width}", str(epoch), related, str(rows.pairs.iloc[0]), f"{rows.ends.iloc[0]:.3f}"
        shown.add_row(*facts, *(f"{at[method]:.3f}" if method in at else "–" for method in methods))
    return shown


def stitching_summary(table: StitchingTable) -> Table:
    """Accuracy of corresponding layers by kind of network and control, for each method; means over pairs."""
    frame = table.frame[(table.frame["rank"] == 0) & (table.frame.x_layer == table.frame.y_layer)]
    names = {"": "another network" if table.pretrained else "another seed"}
    shown = plain_table("networks", "layer", "sender", "pairs", "receiver", "direct", "task", "agreement (task)")
    by = ["architecture", "width", "y_layer", "control"]
    for (architecture, width, layer, control), rows in frame.groupby(by):
        means = rows.groupby("method")[["accuracy", "agreement"]].mean()
        values = [
            f"{means.loc[method, quantity]:.3f}" if method in means.index else "–"
            for method, quantity in (("direct", "accuracy"), ("task", "accuracy"), ("task", "agreement"))
        ]
        if control == "probe":
            values[1] = f"{rows.accuracy.mean():.3f}"
        count = len(rows[["x_model", "y_model"]].drop_duplicates())
        facts = (
            network_name(architecture, width),
            str(layer + 1),
            names.get(control, control),
            str(count),
        )
        shown.add_row(*facts, f"{rows.receiver.mean():.3f}", *values)
    return shown


def comparison_table(comparison: pd.DataFrame) -> Table:
    """Measured and published values side by side."""
    table = plain_table("quantity", "published", "measured", "agrees", "families", "p", "source", "trust", "note")
    for row in comparison.head(SHOWN).itertuples():
        quantity = row.quantity + (f": {row.x} x {row.y}" if row.x or row.y else "")
        value = f"{row.measured:.3g}" if row.measured == row.measured else "not measured"
        value += f" [{row.low:.3g}, {row.high:.3g}]" if row.low == row.low else ""
        families = "" if row.families != row.families else f"{row.families:.0f}"
        p = "" if row.p != row.p else f"{row.p:.2g}"
        table.add_row(quantity, row.published, value, row.agrees, families, p, row.source, row.trust, row.note)
    if len(comparison) > SHOWN:
        table.add_row(f"{len(comparison) - SHOWN} more in comparison.csv")
    return table
