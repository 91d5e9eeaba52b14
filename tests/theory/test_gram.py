"""Experiment (a), small: the theory's prediction holds for both losses and both modalities."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from platorep.core.errors import SpecError, UnknownNameError
from platorep.theory import run, worlds
from platorep.theory.gram import gram


@pytest.fixture(scope="module")
def tables():
    return gram(worlds.grid(side=4), dim=16, width=64, steps=400)


def test_both_losses_and_both_modalities_learn_pmi(tables):
    end = tables["summary"].set_index(["objective", "modality"])
    for loss in ("nce", "infonce"):
        assert (end.loc[loss].correlation > 0.99).all()
        assert (end.loc[loss].difference < 0.02).all()
    np.testing.assert_allclose(end.loc["nce"].offset, end.loc["nce"].predicted_offset, rtol=0.05)


def test_contrasts_do_not(tables):
    end = tables["summary"].set_index(["objective", "modality"])
    assert (end.loc["sgns"].difference > 0.2).all()
    assert (end.loc["prediction"].difference > 0.2).all()


def test_training_is_what_brings_them_there(tables):
    history = tables["history"].query("objective == 'nce'")
    assert (history[history.step == 0].correlation < 0.8).all()
    assert (history[history.step == 0].residual > 0.3).all()


def test_run_writes_figure_and_tables_the_same_twice_whatever_the_threads(tmp_path):
    world = {"name": "grid", "side": 3}
    options = {"dim": 9, "width": 16, "steps": 20}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = run("gram", tmp_path / "a", world=world, **options)
        torch.set_num_threads(2)
        second = run("gram", tmp_path / "b", world=world, **options)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert {p.name for p in first} >= {"gram.png", "gram.pdf", "summary.parquet", "summary.csv"}
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert pd.read_parquet(tmp_path / "a/gram/world.parquet").events.item() == 9


def test_wrong_names_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'gram'"):
        run("gran", tmp_path)
    with pytest.raises(UnknownNameError, match="option of experiment gram 'step'. Did you mean 'steps'"):
        run("gram", tmp_path, step=3)
    with pytest.raises(UnknownNameError, match="unknown world 'rign'"):
        run("gram", tmp_path, world={"name": "rign"})
    with pytest.raises(SpecError, match="between 0 and 1|p_pos must lie in"):
        run("gram", tmp_path, p_pos=2.0)
