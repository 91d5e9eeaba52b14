"""The section of brains: each model's most similar layer between the ceilings, and a page without brains."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from platorep.report import write_page
from platorep.report.brains import STRIP, section
from platorep.results.brains import BrainTable
from tests.figures.samples import brain_scores


RELIABILITY = {
    "experiment": "reliability", "dataset": "iai92--0", "x_model": "all people", "x_layer": 0, "y_model": "human_it",
    "y_layer": 0, "metric": "rsa(correlation=spearman,similarity=cosine)", "map": "split half", "score": 0.52,
    "people": 4, "n_test": 92, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> BrainTable:
    return BrainTable.concatenate([brain_scores(), BrainTable.of_rows([RELIABILITY])])


def test_a_region_has_its_ceilings_and_each_model_its_most_similar_layer(table):
    human, monkey = section(table)
    assert (human["brain"], human["lower"], human["upper"], human["people"], human["n"]) == (
        "human_it", 0.37, 0.67, 4, 92,
    )  # fmt: skip
    assert np.isnan(monkey["lower"])
    rows = {row["x_model"]: row for row in human["rows"]}
    assert list(rows) == ["monkey_it", "net", "net_random", "pixels"]  # the most similar first
    assert rows["net"]["x_layer"] == 4
    assert rows["net"]["score"] == rows["net"]["last"] == pytest.approx(0.4 * 0.8)
    assert [row["score"] for row in human["reliability"]] == [0.52]
    assert monkey["reliability"] == []


def test_the_last_layer_stands_beside_the_most_similar_one(table):
    frame = table.frame.copy()
    frame.loc[(frame.x_model == "net") & (frame.x_layer == 1), "score"] = 0.6
    row = next(row for row in section(BrainTable(frame))[0]["rows"] if row["x_model"] == "net")
    assert (row["x_layer"], row["score"], row["last"]) == (1, 0.6, pytest.approx(0.32))


def test_places_on_a_strip_are_in_the_order_and_proportion_of_their_values(table):
    human = section(table)[0]
    ends = [row["strip"] for row in human["rows"]]
    assert min(min(strip.values()) for strip in ends) == 0
    assert max(max(strip.values()) for strip in ends) == STRIP
    names = ["score", "low", "high", "lower", "upper"]
    values = np.array([[row[name] for name in names] for row in human["rows"]])
    places = np.array([[row["strip"][name] for name in names] for row in human["rows"]])
    slope, start = np.polyfit(values.ravel(), places.ravel(), 1)
    np.testing.assert_allclose(places, slope * values + start, atol=0.1)
    assert ends[0]["zero"] == pytest.approx(start, abs=0.1)


def test_the_page_shows_the_table_only_where_there_is_one(small, table, tmp_path):
    text = write_page(dataclasses.replace(small, brains=table), tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<a href="#brains">Brains</a>' in text
    shown = text[text.index('<section id="brains"') : text.index('<section id="provenance"')]
    assert "Noise ceilings 0.370 to 0.670, 4 people" in shown
    assert "No noise ceiling: one mean is known" in shown
    assert re.search(r'net</th><td class="muted line">.*?</td>\s*<td class="number"><strong>0.320</strong>', shown)
    assert "Reliability: all people, split half 0.520." in shown
    assert shown.count('<rect class="band"') == 4  # of the brain with ceilings alone
    assert "nan" not in shown.lower()
    plain = write_page(small, tmp_path / "plain.html").read_text(encoding="utf-8")
    assert 'id="brains"' not in plain
    assert "#brains" not in plain
