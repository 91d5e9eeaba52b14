"""Matched units side by side: the choice of units, and the samples that activate each of them most."""

from __future__ import annotations

from typing import Any

import pandas as pd

from platorep.report.material import Run
from platorep.report.payload import MOST_SAMPLES, plain
from platorep.results.units import MEASURES, PRETRAINED, SELF, ZOO, ShareTable, UnitTable


SHOWN = 24
"""Number of units of the reference model on the page."""

SAMPLES = 8
"""Number of samples with the highest activation that are shown for a unit."""


def unit_sets(run: Run) -> list[dict[str, Any]]:
    """Units of one model with their matches in the other models; units that most models share come first.

    The reference is the first pretrained model of the suite that was compared with another model. Its units are ordered
    by the number of models in which they have a significant match, then by their mean excess over a rotated basis. Each
    set lists its members: model, layer, unit, correlation with the reference, excess, and the indices of the samples.
    """
    if run.units is None:
        return []
    chosen = chosen_units(run.units[0], run.units[1], run.models)
    layers_shown = {(m["model"], m["layer"]) for members in chosen for m in members}
    tops: dict[tuple[str, int, int], list[int]] = {}
    shown = min(len(run.samples.ids), MOST_SAMPLES)
    for model, layer in sorted(layers_shown):
        units = sorted({m["unit"] for members in chosen for m in members if (m["model"], m["layer"]) == (model, layer)})
        values = run.by_name[model].load(layer, rows=slice(shown))[:, units]
        best = values.argsort(dim=0, descending=True, stable=True)[:SAMPLES].T.tolist()
        tops |= {(model, layer, unit): places for unit, places in zip(units, best, strict=True)}
    position = {name: number for number, name in enumerate(run.models)}
    return [
        {
            "members": [
                member
                | {
                    "model": position[member["model"]],
                    "samples": tops[member["model"], member["layer"], member["unit"]],
                }
                for member in members
            ]
        }
        for members in chosen
    ]


def chosen_units(shares: ShareTable, units: UnitTable, models: list[str]) -> list[list[dict[str, Any]]]:
    """The sets on the page, without their samples: the unit of the reference first, then its significant matches.

    Args:
        shares: tells which models are pretrained.
        units: the partners of every unit.
        models: names on the page, in the suite's order.
    """
    trained = set(shares.frame.x_model[shares.frame.x_weights == PRETRAINED])
    rows = units.live[units.counted("shared")]
    rows = rows[rows.x_model.isin(trained & set(models)) & rows.y_model.isin(trained & set(models))]
    reference = next((name for name in models if name in set(rows.x_model)), None)
    if reference is None:
        return []
    of_reference = rows[rows.x_model == reference]
    groups = of_reference.groupby(["x_layer", "x_unit"], sort=False)
    order = groups.agg(models=("y_model", "size"), excess=("excess_rotated", "mean")).reset_index()
    order = order.sort_values(["models", "excess"], ascending=False, kind="stable").head(SHOWN)
    sets = []
    for unit in order.itertuples():
        matches = groups.get_group((unit.x_layer, unit.x_unit))
        matches = matches.assign(_place=matches.y_model.map(models.index)).sort_values("_place", kind="stable")
        first = {
            "model": reference,
            "layer": int(unit.x_layer),
            "unit": int(unit.x_unit),
            "score": None,
            "excess": None,
        }
        sets.append([first, *(_member(row) for row in matches.to_dict("records"))])
    return sets


def share_rows(run: Run) -> list[dict[str, Any]]:
    """One row per direction of the page's table: units, matches with their nulls, shares by the other measures."""
    if run.units is None:
        return []
    shares = run.units[0]
    measures = [measure for measure in MEASURES if measure in set(shares.frame.measure)]
    by_measure = {measure: shares.whole(measure).set_index(["x_model", "y_model"]) for measure in measures}
    rows = []
    for pair, row in by_measure["matched"].iterrows():
        scores = {name: shares_of.loc[pair, "score"] for name, shares_of in by_measure.items()}
        rows.append(
            {"x": pair[0], "y": pair[1], "plain": pair[1] not in (SELF, ZOO)}
            | row.to_dict()
            | dict.fromkeys(MEASURES)
            | scores
        )
    return rows


def _member(row: dict[str, Any]) -> dict[str, Any]:
    excess = row["excess_rotated"]
    numbers = {"score": plain(row["score"]), "excess": None if pd.isna(excess) else plain(excess)}
    return {"model": row["y_model"], "layer": int(row["y_layer"]), "unit": int(row["y_unit"])} | numbers
