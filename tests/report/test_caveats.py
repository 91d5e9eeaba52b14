"""Each warning comes up where its cause is and stays away where it is not."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import torch

from platorep.report.anatomy import Anatomy
from platorep.report.caveats import caveats
from platorep.results.tables import SelectionTable


N, K = 100, 5


def healthy() -> Anatomy:
    graph = (torch.arange(N)[:, None] + torch.arange(1, K + 1)) % N
    row = {
        "layer": 0,
        "in_degree_skewness": 0.0,
        "max_in_degree": K,
        "never_neighbours": 0.0,
        "ties": 0.0,
        "clamped": 0.05,
    }
    return Anatomy({0: graph}, pd.DataFrame([row, row | {"layer": 1}]), 1.0)


def with_layer(**changes) -> Anatomy:
    good = healthy()
    layers = good.layers.copy()
    for name, value in changes.items():
        layers.loc[1, name] = value
    return dataclasses.replace(good, layers=layers)


@pytest.fixture
def titles(changed):
    def find(anatomy=None, **changes):
        run = changed(**changes)
        anatomies = {name: healthy() for name in run.models} | ({"v0": anatomy} if anatomy else {})
        return {one.title: one for one in caveats(run, anatomies)}

    return find


def test_a_healthy_layer_gives_no_warning(titles):
    assert not {"Hubs", "Ties", "Heavily clamped layers", "Sparse features, not clamped"} & set(titles())


@pytest.mark.parametrize(
    ("change", "title", "case"),
    [
        ({"max_in_degree": 60}, "Hubs", "v0: 1 of 2 layers, most in layer 1 (neighbour of 60 of 100 samples)"),
        (
            {"never_neighbours": 0.5},
            "Hubs",
            "v0: 1 of 2 layers, most in layer 1 (50% of samples are nobody's neighbour)",
        ),
        ({"ties": 0.25}, "Ties", "v0: 1 of 2 layers, most in layer 1 (25.0% of samples)"),
        ({"clamped": 0.75}, "Heavily clamped layers", "v0: 1 of 2 layers, most in layer 1 (75% of values)"),
    ],
)
def test_a_bad_layer_is_named_with_its_model(titles, change, title, case):
    assert titles(with_layer(**change))[title].items == (case,)


def test_features_without_a_clamp_are_named(titles):
    assert titles(dataclasses.replace(healthy(), threshold=None))["Sparse features, not clamped"].items == ("v0",)


def test_what_the_data_and_the_models_lack_is_named(titles):
    found = titles()
    assert found["Few samples"].grave
    assert found["Dropped samples"].items == ("gone & <lost>: picture is the same as that of 's/001'",)
    assert found["Duplicate captions"].items == ("2 × thing 88 of kind 4",)
    assert found["Models without features"].items == ("absent",)
    assert found["Quantised models"].items == ("l1: somebody's model, quantised to Q4",)
    assert found["Truncated captions"].items == ("l0: 3 captions",)
    assert next(iter(found)) == "Few samples", "grave ones come first"


def test_large_neighbourhoods_are_told_with_their_chance(titles, small):
    from platorep.metrics.registry import build

    found = titles(metrics=[build("mutual_knn", k=20)])
    assert (
        f"k = 20 of n = 90 samples: chance alone reaches about k/(n − 1) = {20 / 89:.3f}"
        in found["Neighbourhoods are large"].text
    )
    assert "Neighbourhoods are large" not in titles()


def test_scores_at_chance_are_named_and_the_others_not(titles, small):
    frame = small.selection.frame.copy()
    frame["p_family"] = 0.01
    assert "Scores at chance" not in titles(selection=SelectionTable(frame))
    frame.loc[0, "p_family"] = 0.4
    found = titles(selection=SelectionTable(frame))["Scores at chance"]
    assert found.items == ("l0 × v0, mutual k-NN (k = 5): p = 0.4",)
    assert found.text.startswith("1 of 8 scores")


def test_a_run_without_relabellings_is_told(titles, small):
    frame = small.selection.frame.assign(permutations=0, p_value=float("nan"), p_family=float("nan"))
    assert "No null" in titles(selection=SelectionTable.from_frame(frame))
    assert "Scores are not tested" in titles(selection=None)
