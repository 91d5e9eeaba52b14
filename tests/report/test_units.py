"""The section of matched units: the sets that are shown, their top samples, the shares, and a page without them."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
import torch

from platorep.report import write_page
from platorep.report.units import SAMPLES, SHOWN, chosen_units, share_rows, unit_sets
from platorep.results.units import UnitTable


def test_the_sets_show_the_first_model_s_units_those_that_most_models_share_first(matched):
    shares, units = matched.units
    sets = chosen_units(shares, units, matched.models)
    assert 0 < len(sets) <= SHOWN
    assert {members[0]["model"] for members in sets} == {"l0"}  # the first of the suite
    sizes = [len(members) for members in sets]
    assert sizes == sorted(sizes, reverse=True)
    shared = units.live[units.counted("shared")]
    for members in sets:
        first = members[0]
        for other in members[1:]:
            row = shared[(shared.x_model == "l0") & (shared.y_model == other["model"])]
            row = row[(row.x_layer == first["layer"]) & (row.x_unit == first["unit"])]
            assert (row.y_layer.item(), row.y_unit.item()) == (other["layer"], other["unit"])
            assert other["score"] == pytest.approx(row.score.item(), rel=1e-5)


def test_top_samples_are_those_with_the_highest_activation(matched):
    for members in unit_sets(matched):
        for member in members["members"]:
            features = matched.by_name[matched.models[member["model"]]]
            values = features.load(member["layer"])[:, member["unit"]]
            assert member["samples"] == values.argsort(descending=True, stable=True)[:SAMPLES].tolist()
            assert torch.equal(values[member["samples"]], values.sort(descending=True).values[:SAMPLES])


def test_the_page_has_the_table_the_sets_and_a_link_to_them(matched, tmp_path):
    text = write_page(matched, tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<a href="#units">Units</a>' in text
    assert '<ol class="unit-sets">' in text
    table = text[text.index("Table of matched units") :]
    assert re.search(
        r"l0</th><th scope=\"row\">itself</th><td class=\"number\">39</td>\s*<td class=\"number\"><strong>1.000", table
    )
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["units"] == unit_sets(matched)


def test_a_run_without_matched_units_has_no_such_section(small, matched, tmp_path):
    text = write_page(small, tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'id="units"' not in text
    assert unit_sets(small) == share_rows(small) == []
    shares, units = matched.units
    nothing = UnitTable(units.frame.assign(p_family=1.0))
    empty = dataclasses.replace(matched, units=(shares, nothing))
    text = write_page(empty, tmp_path / "empty.html").read_text(encoding="utf-8")
    assert "No unit has a significant match in another pretrained model." in text
    assert '<ol class="unit-sets">' not in text
