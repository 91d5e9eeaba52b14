"""Type-I error of the family-wise test of units, number of best buddies, coverage of shares and of an exponent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from runs import run

from platorep.core.features import ArrayFeatures
from platorep.stats.exponents import exponent
from platorep.stats.intervals import (
    Interval,
)
from platorep.stats.matches import buddy_count, family_test
from platorep.stats.permutations import Permutations
from platorep.units.correlations import Arrangement, strongest
from platorep.units.pairs import Matching, compare
from platorep.units.reading import ModelUnits
from platorep.units.tables import share_table


UNIT_WORLDS = ("normal units", "units with rare large activations", "units of one latent of 6 dimensions")


def unrelated_units(rng: np.random.Generator, world: str, n: int, d: int) -> np.ndarray:
    """Units of one model that share nothing with another."""
    if world == UNIT_WORLDS[0]:
        return rng.normal(size=(n, d))
    if world == UNIT_WORLDS[1]:
        return np.exp(2 * rng.normal(size=(n, d)))
    return rng.normal(size=(n, 6)) @ rng.normal(size=(6, d)) + 0.5 * rng.normal(size=(n, d))


def unit_errors(seed: int) -> dict[str, float]:
    out: dict[str, float] = {}
    orders = Permutations.draw(80, 99, seed).order
    for number, world in enumerate(UNIT_WORLDS):
        rng = np.random.default_rng([7, number, seed])
        x, y = (made_units(name, unrelated_units(rng, world, 80, d)) for name, d in (("x", 20), ("y", 30)))
        drawn = [Arrangement(), *(Arrangement(None, torch.from_numpy(order).long()) for order in orders)]
        scores = np.stack([found.x.score[:, 0] for found in strongest(x, y, drawn)])
        test = family_test(scores[0], scores[1:])
        out[f"{world}: any unit with a corrected p"] = test.p.min() < 0.05
        single = (1 + (scores[1:] >= scores[0]).sum(axis=0)) / len(scores)
        out[f"{world}: any unit with a p of its own"] = single.min() <= 0.05
    rng = np.random.default_rng([8, seed])
    a, b = (made_units(name, rng.normal(size=(500, d))) for name, d in (("x", 40), ("y", 60)))
    found = strongest(a, b)[0]
    count, expected = (found.y.unit[found.x.unit[:, 0], 0] == np.arange(40)).sum(), buddy_count(40, 60)
    out["number of best buddies of independent models outside of its 95 % interval"] = (
        not expected.low <= count <= expected.high
    )
    return out


def made_units(name: str, values: np.ndarray) -> ModelUnits:
    return ModelUnits(ArrayFeatures(name, [torch.from_numpy(values).float()]), [0])


SHARE_WORLDS = {"n = 300": 300, "n = 1,000": 1000}


def share_interval(job: tuple[str, int]) -> dict[str, Interval | float]:
    """Intervals of shares for fresh samples: 60 units, each a mixture of its twin, of other common parts, and noise."""
    name, seed = job
    rng, fixed = np.random.default_rng([9, SHARE_WORLDS[name], seed]), np.random.default_rng(7)
    n, d = SHARE_WORLDS[name], 60
    mix, maps = fixed.uniform(0.2, 1, size=d), fixed.normal(size=(2, 12, d))
    latent = rng.normal(size=(n, 12))
    x = latent @ maps[0] / 3 + rng.normal(size=(n, d))
    y = mix * x + (1 - mix) * (latent @ maps[1] / 3) + 0.6 * rng.normal(size=(n, d))
    matching = Matching(permutations=39)
    sides = [ArrayFeatures(side, [torch.from_numpy(values).float()]) for side, values in (("x", x), ("y", y))]
    frame = share_table(compare(*sides, matching)[0], matching, {}).frame
    whole = frame[(frame.x_layer == -1) & (frame.y_layer == -1)].set_index("measure")
    return {
        measure: Interval(row.score, row.low, row.high, (row.high - row.low) / 4.46, 0.95, "share_interval", False)
        for measure, row in whole.iterrows()
    }


def exponent_interval(job: tuple[int, int]) -> tuple[float, float]:
    """Ends of the interval of an exponent of .4: sizes and deviations differ between families and within them."""
    count, seed = job
    rng = np.random.default_rng([10, count, seed])
    family = np.repeat(np.arange(count), 4)
    size = 8 + 0.5 * rng.normal(size=count)[family] + 0.4 * rng.normal(size=4 * count)
    value = 0.4 * (size - 8) + 2 + 0.2 * rng.normal(size=count)[family] + 0.1 * rng.normal(size=4 * count)
    found = exponent(10**size, 10**value, family)
    return found.low, found.high


def exponents_table(repetitions: int, workers: int) -> pd.DataFrame:
    table = []
    for count in (5, 8, 20):
        ends = np.array(run(exponent_interval, [(count, seed) for seed in range(repetitions)], workers))
        hits = 100 * ((ends[:, 0] <= 0.4) & (ends[:, 1] >= 0.4)).mean()
        row = {"families of 4": count, "exponent": "0.40", "covers": f"{hits:.1f} %"}
        table.append(row | {"mean width": f"{np.diff(ends, axis=1).mean():.2f}"})
    return pd.DataFrame(table)
