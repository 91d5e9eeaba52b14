"""Experiment (j): what grows with scale, the laws of finite data, and different worlds, which never align."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from platorep.core.errors import SpecError
from platorep.theory import scores, worlds
from platorep.theory.scale import METRICS, Scale, _laws, _optimum, _size, scale
from tests.theory.test_experiments import drawn


WORLD = worlds.low_rank(bits=5, rank=6)


def test_alignment_grows_with_every_resource_and_different_worlds_stay_at_chance(tmp_path):
    tables = scale(
        WORLD,
        seeds=2,
        observed=(1000, 4000, 16000, 64000, 256_000, 1_024_000),
        beyond=1,
        dims=(2, 3, 4, 5, 6, 8),
        steps=(5, 10, 20, 40, 80, 400),
        ample=(16, 250),
    )
    rows = tables["summary"][tables["summary"].metric == "cka"].set_index(["sweep", "pair"])
    for sweep in ("data", "parameters", "compute"):
        grown = rows.loc[(sweep, "one world")].sort_values("size").score
        assert grown.iloc[-1] > 0.95 > grown.iloc[0] + 0.1
        assert rows.loc[(sweep, "different worlds")].score.abs().max() < 0.2
    laws = tables["laws"].set_index(["sweep", "pair", "metric"])
    assert abs(laws.loc[("data", "one world", "cka")].surplus) < 0.02
    assert drawn("scale", tables, tmp_path)


def test_what_kernels_of_data_lack_falls_as_the_data_for_cka_and_as_their_root_for_neighbours():
    world, lacking = worlds.unrepresentable(), []  # its gaps between neighbours are spread evenly
    for size in (500_000, 8_000_000):
        table = scores.agreement(_optimum(world, size, 10, 6), _optimum(world, size, 90, 6), METRICS)
        lacking.append(1 - table.groupby("metric").score.mean())
    slopes = np.log(lacking[0] / lacking[1]) / np.log(16)
    assert slopes["cka"] == pytest.approx(1, abs=0.05)
    assert slopes["mutual_knn"] == pytest.approx(0.5, abs=0.1)


def test_the_law_of_a_curve_that_follows_one_is_found_and_predicts_its_end():
    rng, sizes = np.random.default_rng(0), 1000.0 * 2.0 ** np.arange(8)
    frame = pd.DataFrame(
        {"sweep": "data", "pair": "one world", "metric": "cka", "seed": seed, "size": size, "score": score}
        for seed in range(10)
        for size, score in zip(sizes, 0.9 - 0.6 * (sizes / 1000) ** -0.5 + rng.normal(0, 0.003, 8), strict=True)
    )
    law = next(_laws(frame))
    assert law["limit_low"] < 0.9 < law["limit_high"]
    assert law["exponent_low"] < 0.505  # a hundredth of it is the step of the exponents that are tried
    assert law["exponent_high"] > 0.495
    assert law["explained"] > 0.99
    assert law["surplus_low"] < 0 < law["surplus_high"]
    step = frame.assign(score=np.where(frame["size"] < 64_000, 0.2, 1.0))  # no law: none foresees the step
    assert next(_laws(step))["surplus"] < -0.7


def test_sizes_count_pairs_parameters_and_multiply_adds():
    assert _size(Scale("data", 512, 8, 16, 800), 64) == 512
    assert _size(Scale("parameters", None, 8, 32, 800), 64) == 64 * 8 + 64 * 32 + 32 + 32 * 8
    once = _size(Scale("compute", None, 8, 16, 1), 64)
    assert once == 3 * (2 * 64 * 64 * 8 + 64 * (64 * 16 + 16 * 8))
    assert _size(Scale("compute", None, 8, 16, 50), 64) == 50 * once


def test_too_few_scales_for_a_law_are_refused_before_anything_is_trained():
    with pytest.raises(SpecError, match="needs 6 scales of each resource; got 8 numbers of pairs, 2 dimensions"):
        scale(WORLD, dims=(2, 4))
