"""The same models on two datasets, on tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import StoreError
from tests.figures.samples import join, vision
from tests.figures.tables import plot


def table(names=("places", "stamps", "noise")):
    """Three datasets: the second bends the scores of the first, the third has the models in another order."""
    first = vision(8, dataset="places--0")
    second = vision(8, power=2.0, dataset="stamps--0")
    pairs = list(zip(first.frame.x_model, first.frame.y_model, strict=True))
    names_of = sorted({name for pair in pairs for name in pair})
    place = dict(zip(names_of, np.random.default_rng(3).permutation(8), strict=True))
    moved = first.frame.assign(
        dataset="noise--0", score=[0.1 + 0.05 * ((5 * place[x] * place[y]) % 7) for x, y in pairs]
    )
    parts = {"places": first, "stamps": second, "noise": type(first)(moved)}
    return join(*(parts[name] for name in names))


def sample(style):
    return plot("consistency", table(), style=style)


def test_every_two_datasets_have_a_panel_and_those_that_agree_say_so():
    found = sample(None)
    titles = [panel.get_title(loc="left") for panel in found.figure.axes]
    assert len(titles) == 3
    data = found.data.drop_duplicates(["dataset_a", "dataset_b"]).set_index(["dataset_a", "dataset_b"])
    assert data.correlation["places", "stamps"] > 0.9
    assert data.p_value["places", "stamps"] == 0.001
    assert data.p_value["places", "noise"] > 0.05
    assert len(found.data) == 3 * 28
    assert titles[0].startswith("ρ = 0.9")


def test_one_dataset_is_refused():
    with pytest.raises(StoreError, match="compares datasets; the alignment table has only places--0"):
        plot("consistency", table(["places"]))
