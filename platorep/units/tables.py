"""Tables of the comparison of two models: one row per unit, and shares of units by layer pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from platorep.core.version import __version__
from platorep.results.units import (
    ALL_LAYERS,
    EXCESS,
    LEVEL,
    SELF,
    SHARE_COLUMNS,
    UNIT_COLUMNS,
    UNTRAINED,
    ShareTable,
    UnitTable,
)
from platorep.stats.matches import FamilyTest, family_test, match_chance, share_interval
from platorep.stats.selection import relative_depths
from platorep.units.pairs import Direction, Matching, Seen
from platorep.units.reading import ModelUnits


NOT_TAKING_PART = "equal for all samples"

WITHOUT_WEIGHTS = ("pixels", "tfidf")
"""Sources of models that learned nothing, or only counts of words."""


class Nulls(NamedTuple):
    """Reference values for a unit's best correlation; NaN, or None for the test, if they were not computed."""

    mean: np.ndarray  # of permuted samples, shape (units,)
    rotated: np.ndarray  # of rotated bases, shape (units,)
    test: FamilyTest | None


def nulls(direction: Direction) -> Nulls:
    """Null means and the family-wise test of every unit."""
    count = direction.x.count
    permuted, rotated = direction.permuted.score, direction.rotated.score
    return Nulls(
        permuted.mean(axis=0) if len(permuted) else np.full(count, np.nan),
        rotated.mean(axis=0) if len(rotated) else np.full(count, np.nan),
        family_test(direction.observed.score, permuted, LEVEL) if len(permuted) else None,
    )


def unit_table(direction: Direction, matching: Matching) -> UnitTable:
    """One row per unit of x, including units without variation."""
    x, y, null = direction.x, direction.y, nulls(direction)
    columns: dict[str, Any] = {
        "x_layer": x.place.layer,
        "x_unit": x.place.unit,
        "x_left_out": "",
        "y_layer": y.place.layer[direction.observed.partner],
        "y_unit": y.place.unit[direction.observed.partner],
        "score": direction.observed.score,
        "second": direction.second,
        "rank_back": direction.rank_back,
        "matched": direction.observed.matched,
        "null_mean": null.mean,
        "threshold": np.nan if null.test is None else null.test.threshold,
        "p_family": np.nan if null.test is None else null.test.p,
        "excess": direction.observed.score - null.mean,
        "rotated_mean": null.rotated,
        "excess_rotated": direction.observed.score - null.rotated,
    }
    dead = {"x_layer": x.dead.layer, "x_unit": x.dead.unit, "x_left_out": NOT_TAKING_PART, "matched": False}
    frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(dead)] if len(x.dead.layer) else [pd.DataFrame(columns)])
    frame = frame.fillna({"y_layer": -1, "y_unit": -1}).sort_values(["x_layer", "x_unit"], kind="stable")
    frame = frame.assign(
        x_layer_name=_names(x, frame.x_layer.to_numpy()),
        y_layer_name=_names(y, frame.y_layer.to_numpy().astype(np.int64)),
        x_model=x.features.name,
        x_key=x.features.key,
        y_model=y.features.name,
        y_key=y.features.key,
        **_settings(x, matching),
    )
    return UnitTable.from_frame(frame[list(UNIT_COLUMNS)])


def share_table(direction: Direction, matching: Matching, parameters: Mapping[str, float | None]) -> ShareTable:
    """Shares of the units of x that each measure counts, over all layers, by layer of x, and by pair of layers.

    The layer of y is that of the partner, so that the shares of one layer of x sum to its share over all layers of y.

    Args:
        direction: the comparison.
        matching: its settings.
        parameters: number of parameters by name of the model, where known.
    """
    x, y, null = direction.x, direction.y, nulls(direction)
    seen = {name: getattr(direction, name) for name in ("observed", "permuted", "rotated", "halves")}
    significant: dict[str, np.ndarray] = {}
    if null.test is not None:
        significant = {name: some.score > null.test.threshold for name, some in seen.items()}
        significant |= {"observed": null.test.p < LEVEL, "permuted": null.test.exceeds}
    conditions: dict[str, Callable[[str, Seen], np.ndarray]] = {"matched": lambda _, some: some.matched}
    if null.test is not None:
        conditions |= {
            "significant": lambda name, _: significant[name],
            "shared": lambda name, some: some.matched & significant[name],
            "excess": lambda _, some: some.score - null.mean > EXCESS,
        }
    if len(direction.rotated.score):
        conditions["universal"] = lambda _, some: some.score - null.rotated > EXCESS
    frames = []
    for measure, counts in conditions.items():
        grids = {name: _grid(counts(name, some), some.partner, x, y) for name, some in seen.items()}
        if measure == "universal":
            flags = direction.observed.score - _without_each(direction.rotated.score) > EXCESS
            grids["turns"] = _grid(flags, np.broadcast_to(direction.observed.partner, flags.shape), x, y)
        frames.append(_rows(grids, x, y, matching.best if measure == "matched" else None).assign(measure=measure))
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.assign(
        experiment="units",
        expected=np.nan,
        **_side("x", x, frame.x_layer.to_numpy()),
        x_depth=[np.nan if i == ALL_LAYERS else relative_depths(len(x.features.layers))[i] for i in frame.x_layer],
        x_parameters=float(parameters.get(x.features.name) or np.nan),
        **_side("y", y, frame.y_layer.to_numpy()),
        **_settings(x, matching),
    ).rename(columns={"n": "n_test"})
    if x.features.key == y.features.key:
        frame["y_model"] = SELF
    return ShareTable.from_frame(frame[list(SHARE_COLUMNS)])


def _without_each(draws: np.ndarray) -> np.ndarray:
    """Leave-one-out means of the draws, shape (draws, units); a single draw is returned unchanged."""
    count = len(draws)
    return draws if count == 1 else (draws.sum(axis=0) - draws) / (count - 1)


def _settings(x: ModelUnits, matching: Matching) -> dict[str, Any]:
    return {
        "dataset": x.features.dataset,
        "n": x.n,
        "rule": matching.rule,
        "permutations": matching.permutations,
        "rotations": matching.rotations,
        "seed": matching.seed,
        "strata": matching.strata_name,
        "partial": matching.partial,
        "version": __version__,
    }


def _side(side: str, units: ModelUnits, layers: np.ndarray) -> dict[str, Any]:
    model = units.features.spec.model
    return {
        f"{side}_model": units.features.name,
        f"{side}_key": units.features.key,
        f"{side}_modality": model.modality,
        f"{side}_family": model.family,
        f"{side}_weights": UNTRAINED if model.source in WITHOUT_WEIGHTS else model.weights,
        f"{side}_layer_name": _names(units, layers),
    }


def _names(units: ModelUnits, layers: np.ndarray) -> np.ndarray:
    """Names of layers; empty for -1."""
    return np.array([*(layer.name for layer in units.features.layers), ""], dtype=object)[layers]


def _grid(flags: np.ndarray, partner: np.ndarray, x: ModelUnits, y: ModelUnits) -> np.ndarray:
    """Counts of flagged units by layer of the unit and of its partner, shape (..., layers of x, layers of y)."""
    rows = np.searchsorted(x.layers, x.place.layer)
    columns = np.searchsorted(y.layers, y.place.layer)[partner]
    size = len(x.layers) * len(y.layers)
    cells = np.zeros((*flags.shape[:-1], size), dtype=np.int64)
    for place in np.ndindex(flags.shape[:-1]):
        pairs = rows * len(y.layers) + columns[place]
        cells[place] = np.bincount(pairs[flags[place]], minlength=size)
    return cells.reshape(*flags.shape[:-1], len(x.layers), len(y.layers))


def _rows(grids: Mapping[str, np.ndarray], x: ModelUnits, y: ModelUnits, best: int | None) -> pd.DataFrame:
    """Rows of one measure: all layers, every layer of x, every pair of layers.

    Args:
        grids: counts by pair of layers: observed, permuted, rotated, halves, and turns (one rotation left out in each)
            if the measure compares with rotations.
        x: units that are counted.
        y: units that may be partners.
        best: number of best partners in the rule, for the closed form of chance; None for measures without a closed
            form.
    """
    down = np.array([int((x.place.layer == layer).sum()) for layer in x.layers])
    across = np.array([int((y.place.layer == layer).sum()) for layer in y.layers])
    chance = np.nan if best is None else match_chance(x.count, y.count, best)
    levels: list[tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, Any, Any, Any]] = [
        (lambda grid: grid.sum(axis=(-2, -1))[..., None], np.array([x.count]), [ALL_LAYERS], [ALL_LAYERS], chance),
        (lambda grid: grid.sum(axis=-1), down, x.layers, [ALL_LAYERS] * len(x.layers), chance),
        (
            lambda grid: grid.reshape(*grid.shape[:-2], len(x.layers) * len(y.layers)),
            np.repeat(down, len(y.layers)),
            np.repeat(x.layers, len(y.layers)),
            np.tile(y.layers, len(x.layers)),
            chance * np.tile(across / y.count, len(x.layers)),
        ),
    ]
    frames = []
    for number, (summed, units, x_layers, y_layers, by_chance) in enumerate(levels):
        shares = {name: summed(grid) / np.maximum(units, 1) for name, grid in grids.items()}
        columns = {"x_layer": x_layers, "y_layer": y_layers, "units": units, "chance": by_chance}
        columns |= {"count": summed(grids["observed"]), "score": shares["observed"]}
        columns |= _null_columns(shares)
        columns |= _interval(shares, np.maximum(units, 1)) if number < 2 else {"low": np.nan, "high": np.nan}
        frames.append(pd.DataFrame(columns)[units > 0])
    return pd.concat(frames, ignore_index=True)


def _null_columns(shares: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Mean and central 95 % of the shares with permuted samples, and mean of the shares with rotated bases."""
    permuted, rotated = shares["permuted"], shares["rotated"]
    low, high = np.quantile(permuted, [0.025, 0.975], axis=0) if len(permuted) else (np.nan, np.nan)
    return {
        "null_mean": permuted.mean(axis=0) if len(permuted) else np.nan,
        "null_low": low,
        "null_high": high,
        "rotated": rotated.mean(axis=0) if len(rotated) else np.nan,
    }


def _interval(shares: Mapping[str, np.ndarray], units: np.ndarray) -> dict[str, Any]:
    """`share_interval` of every share, from random halves of the samples."""
    halves, turns = shares["halves"], shares.get("turns")
    if not len(halves):
        return {"low": np.nan, "high": np.nan}
    ends = [
        share_interval(share, int(units[i]), halves[:, i].reshape(-1, 2), None if turns is None else turns[:, i])
        for i, share in enumerate(shares["observed"])
    ]
    return dict(zip(("low", "high"), np.array(ends).T, strict=True))
