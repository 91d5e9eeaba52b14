"""Experiments (b) to (g), small: each effect with its negative control, and every figure drawn from its tables."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from platorep.commands.configuration import experiment
from platorep.commands.simulate import simulate
from platorep.core.errors import SpecError, UnknownNameError
from platorep.figures import style
from platorep.theory import EXPERIMENTS, run, scores, worlds
from platorep.theory.agreement import agreement
from platorep.theory.capacity import capacity
from platorep.theory.failures import best_gram, failures
from platorep.theory.instruments import BASE, draw, instruments, shared_maps
from platorep.theory.learners import Objective
from platorep.theory.representability import nearest_gram
from platorep.theory.simplicity import simplicity
from platorep.theory.solvers import draw_tasks
from platorep.theory.tasks import tasks
from tests.e2e.runs import configuration


RING = worlds.ring(events=24, time=4)
LOW_RANK = worlds.low_rank(bits=5, rank=6)


def drawn(name, tables, folder):
    figure = getattr(importlib.import_module(f"platorep.theory.figures.{name}"), f"theory_{name}")(tables)
    return [p.stat().st_size > 2000 for p in style.save(figure, folder / name)] == [True, True]


def scored(summary, metric="mutual_knn"):
    return summary[summary.metric == metric]


def test_bijections_agree_and_agreement_falls_with_the_information_kept(tmp_path):
    tables = agreement(RING, seeds=2, dim=24, width=48, steps=1200, symbols=(12, 4), noise=(0.3, 0.9))
    rows = scored(tables["summary"]).set_index("kind")
    assert rows.loc["bijection"].score > 0.95
    for kind in ("lossy", "noisy"):
        ordered = rows.loc[[kind]].sort_values("bits", ascending=False)
        assert rows.loc["bijection"].score > ordered.score.iloc[0] > ordered.score.iloc[1]
        np.testing.assert_allclose(ordered.score, ordered.ceiling, atol=0.03)
    other = rows.loc["other world"]
    assert abs(other.score - other.null_mean) < 0.15
    assert drawn("agreement", tables, tmp_path)


def test_capacity_below_the_rank_loses_the_kernel_and_above_it_gains_nothing(tmp_path):
    tables = capacity(LOW_RANK, seeds=2, dims=(2, 7, 16), widths=(2, 32), steps=400)
    rows = scored(tables["summary"])
    fit = rows[rows.sweep == "dimension, tables"].set_index("size").correlation
    assert fit[2] < 0.9
    assert fit[7] > 0.99
    assert fit[16] == pytest.approx(fit[7], abs=0.01)
    assert (rows.excess_loss > -1e-9).all()
    assert drawn("capacity", tables, tmp_path)


def test_more_tasks_of_one_world_bring_agreement_and_tasks_without_structure_do_not(tmp_path):
    tables = tasks(LOW_RANK, seeds=2, counts=(1, 32), dim=16, width=32, steps=300)
    rows = scored(tables["summary"], "cka").set_index(["condition", "tasks"]).score
    assert rows["own tasks", 32] > rows["own tasks", 1] + 0.3
    assert rows["own tasks, no structure", 32] < rows["own tasks", 32] - 0.3
    assert drawn("tasks", tables, tmp_path)


def test_small_weights_agree_more_at_the_same_loss(tmp_path):
    tables = simplicity(LOW_RANK, seeds=2, counts=(4,), dim=16, width=64, penalty=1e-3, steps=800)
    rows = scored(tables["summary"], "cka").set_index("arm")
    assert rows.loc["large"].error == pytest.approx(rows.loc["large, decay"].error, rel=0.2)
    assert rows.loc["large, decay"].score > rows.loc["large"].score + 0.35
    assert rows.loc["small"].score > rows.loc["large"].score + 0.35
    assert rows.loc["large, decay"].norm < 0.2 * rows.loc["large"].norm
    assert drawn("simplicity", tables, tmp_path)


def test_structured_tasks_vary_as_pmi_does_and_white_ones_do_not():
    def likeness(structured):
        values = draw_tasks(LOW_RANK, 400, 0, structured=structured)
        upper = np.triu_indices(32, 1)
        return np.corrcoef((values @ values.T)[upper], LOW_RANK.pmi[upper])[0, 1]

    assert likeness(True) > 0.9
    assert abs(likeness(False)) < 0.2


def test_failures_show(tmp_path):
    tables = failures(worlds.unrepresentable(events=24), seeds=4, steps=1000, symbols=(12, 3))
    floors = tables["floors"].set_index("floor")
    assert floors.ratio["frobenius"] == pytest.approx(1.016, abs=0.01)
    assert floors.ratio["loss"] == pytest.approx(1, abs=0.002)
    last = tables["residuals"].groupby("learner").residual.last()
    assert last["nce"] > 1
    assert last["nce, representable"] < 0.005 * last["nce"]
    assert last["sgns"] < 0.05 * last["nce"]
    verdicts = scored(tables["verdicts"]).set_index("pair")
    assert verdicts.loc["one world"].rejected == 1
    assert verdicts.loc["different worlds"].rejected <= 0.5
    assert (
        verdicts.score.loc["one world"]
        > verdicts.score.loc["lossy: 12 symbols"]
        > verdicts.score.loc["lossier: 3 symbols"]
    )
    assert drawn("failures", tables, tmp_path)


def test_best_gram_has_less_loss_than_the_nearest_one_and_than_its_neighbours():
    world, objective = worlds.unrepresentable(events=12, strength=0.6), Objective()
    best, loss = best_gram(world, objective, iterations=2000)
    assert np.linalg.eigvalsh(best)[0] > -1e-10
    assert loss < loss_of(nearest_gram(world.pmi + objective.offset), world, objective) - 1e-6
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = rng.normal(size=best.shape)
        assert loss_of(nearest_gram(best + 0.05 * (step + step.T)), world, objective) > loss


def loss_of(g, world, objective):
    import torch

    return objective.exact(torch.from_numpy(g)[None], torch.from_numpy(world.joint)[None]).item()


def test_a_representable_world_is_refused_where_failure_is_the_point():
    with pytest.raises(SpecError, match="'ring' is representable"):
        failures(RING)


def test_instruments_reject_nothing_special_under_the_null_and_much_above_it(tmp_path):
    tables = instruments(repetitions=25, signals=(0.0, 0.4), ns=(), ks=(5,), ds=())
    frame = tables["tests"]
    null = frame[frame.signal == 0].rejected
    assert null.mean() < 0.1  # 5 % expected; 21 tests x 25 repetitions
    assert frame[(frame.signal == 0.4) & (frame.metric == "cka")].rejected.min() > 0.9
    cell = frame[(frame.signal == 0.4) & (frame.metric == "edit_distance_knn") & (frame.varied == "signal")]
    assert (
        tables["summary"].set_index(["metric", "test"]).loc[("edit_distance_knn", "relabelling"), "signal 0.4"]
        == cell.rejected.item()
    )
    coverage = tables["coverage"].set_index(["interval", "signal"]).covered
    assert coverage["mutual_knn, jackknife", 0.4] >= 0.9
    assert drawn("instruments", tables, tmp_path)


def test_drawn_pairs_share_what_the_signal_says():
    def shared(signal):
        x, y = draw(BASE._replace(n=4000, d=8, signal=signal), shared_maps(4, 8, 0), np.random.default_rng(0))
        cross = (x.T @ y) / len(x)
        return float(cross.square().sum() / 64)

    assert shared(0.0) < 0.001
    assert shared(0.8) > 0.05


def test_jitter_separates_only_events_that_look_the_same():
    f = np.random.default_rng(0).normal(size=(4, 3))
    assert (scores.present(f, np.array([2, 0, 1, 3]), 0) == f[[2, 0, 1, 3]]).all()
    merged = scores.present(f, np.array([0, 0, 1, 1]), 0)
    assert len(np.unique(merged, axis=0)) == 4
    np.testing.assert_allclose(merged, f[[0, 0, 1, 1]], atol=0.01)


def test_blind_modalities_have_no_score_without_the_jitter_and_agree_by_chance_with_it():
    x = np.ones((1, 30, 2)) + 0 * np.arange(30)[None, :, None]
    assert np.isnan(scores.agreement(x, x, {"mutual_knn": {}}).score.item())
    blind = [scores.present(np.ones((1, 8)), np.zeros(30, dtype=int), seed)[None] for seed in range(10)]
    found = [
        scores.agreement(a, b, {"mutual_knn": {"similarity": "euclidean"}}).score.item()
        for a, b in zip(blind[::2], blind[1::2], strict=True)
    ]
    assert np.mean(found) == pytest.approx(10 / 29, abs=0.06)


def test_intervals_over_seeds_cover():
    rng = np.random.default_rng(0)
    inside = [low <= 0 <= high for _, low, high in (scores.interval(rng.normal(size=10)) for _ in range(2000))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_every_experiment_has_a_function_and_a_figure():
    for name in EXPERIMENTS:
        assert callable(getattr(importlib.import_module(f"platorep.theory.{name}"), name))
        assert callable(getattr(importlib.import_module(f"platorep.theory.figures.{name}"), f"theory_{name}"))


def test_a_world_is_refused_by_an_experiment_that_makes_its_own(tmp_path):
    with pytest.raises(SpecError, match="'instruments' builds its own worlds"):
        run("instruments", tmp_path, world={"name": "ring"})


def test_wrong_experiments_and_options_are_refused_before_the_first_one_runs(tmp_path):
    cfg = configuration(tmp_path, command="simulate")
    with pytest.raises(UnknownNameError, match="unknown experiment 'foo'"):
        simulate(experiment({**cfg, "experiment": {"gram": {}, "foo": {}}}))
    with pytest.raises(SpecError, match="experiment.tasks is 1"):
        simulate(experiment({**cfg, "experiment": {"gram": {}, "tasks": 1}}))
    assert not any(tmp_path.iterdir())
