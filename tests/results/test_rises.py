"""The trend over language models knows families, versions of one model, and untrained twins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from platorep.results import views
from platorep.results.groups import lineages
from platorep.results.protocols import chosen
from platorep.results.published import compare
from platorep.results.quantities import measured
from platorep.results.rises import rise
from platorep.stats.trends import MIN_FAMILIES
from tests.figures.tables import RANDOM, competence, cross, noise


def prepared(table):
    rows = chosen(table)
    return views.cross_modal(rows), views.models(rows)


def models(families: int, each: int = 3, facts: dict | None = None):
    """Language models of some families whose alignment and competence rise together, and bits per byte."""
    names = [f"m{f}{i}" for f in range(families) for i in range(each)]
    random = np.random.default_rng(0)
    level = {name: 0.1 + 0.01 * i + 0.001 * random.normal() for i, name in enumerate(names)}
    scores = {(name, v): level[name] + shift for name in names for v, shift in (("v", 0.0), ("w", 0.02))}
    table = cross(scores, {name: f"family {name[1]}" for name in names}, facts)
    return table, pd.Series({name: -2 + 0.1 * i for i, name in enumerate(names)})


def test_the_trend_is_over_mean_alignment_of_models_and_not_over_pairs():
    table, values = models(MIN_FAMILIES)
    pairs, facts = prepared(table)
    found = rise(pairs, facts, values)
    assert found.trend.models == 15
    assert found.trend.families == MIN_FAMILIES
    means = pairs.groupby("language").score.mean()
    assert found.trend.value == pytest.approx(spearmanr(values[means.index], means).statistic)
    assert found.trend.low > 0
    assert f"over 15 models of {MIN_FAMILIES} families; p = " in found.sentence
    assert "too few" not in found.sentence


def test_few_families_are_said_to_be_too_few():
    found = rise(*prepared(models(3)[0]), models(3)[1])
    assert np.isnan(found.trend.low)
    assert "3 families are too few to say whether this holds for other families." in found.sentence


def test_single_models_of_many_families_allow_no_test_within_families():
    table, values = models(8, each=1)
    found = rise(*prepared(table), values)
    assert found.trend.smallest_p == 1
    assert "the families are too small for a test within them" in found.sentence


def test_versions_of_one_model_are_one_family_whatever_their_label():
    facts = {f"m{f}{i}": noise("m00", 0.1 * (3 * f + i)) for f in range(3) for i in range(3) if (f, i) != (0, 0)}
    table, values = models(3, facts=facts)
    found = rise(*prepared(table), values)
    assert found.trend.families == 1
    assert "over 9 models of 1 family" in found.sentence
    assert "Versions of one model are one family." in found.sentence


def test_models_with_random_weights_are_left_out_and_said_to_be():
    table, values = models(3, facts={"m00": RANDOM})
    found = rise(*prepared(table), values)
    assert found.trend.models == 8
    assert "Random weights are left out." in found.sentence


@pytest.mark.parametrize(("values", "said"), [({"m00": 1.0, "m01": 2.0}, "a trend needs 3"), ({}, "a trend needs 3")])
def test_too_few_models_give_a_sentence_and_no_trend(values, said):
    found = rise(*prepared(models(1)[0]), pd.Series(values, dtype=float))
    assert found.trend is None
    assert said in found.sentence


def test_constant_competence_has_no_order():
    found = rise(*prepared(models(1)[0]), pd.Series(1.0, ["m00", "m01", "m02"]))
    assert found.trend is None
    assert "no order to correlate" in found.sentence


def test_a_model_without_a_family_is_one_of_its_own():
    facts = {"lm noisy": noise("lm", 0.1), "of another": noise("some/architecture", 0.1)}
    table = cross({(m, "v"): 0.1 for m in ("lm", "lm noisy", "alone", "of another")}, {"lm": "LM"}, facts)
    found = lineages(prepared(table)[1])
    assert found[["lm", "lm noisy", "alone", "of another", "v"]].tolist() == [
        "LM",
        "LM",
        "alone",
        "some/architecture",
        "v",
    ]


def test_the_comparison_with_published_values_has_p_families_and_the_sentence():
    known = {"x": [""], "y": [""], "relation": [">"], "value": [0.0], "scope": ["any"], "source": ["s"]}
    name = "rank correlation of alignment and 1 - bits per byte"
    published = pd.DataFrame(known).assign(quantity=name, figure="fig3", trust="paper")
    for families, agrees in ((3, "too few families"), (MIN_FAMILIES, "yes")):
        table, values = models(families)
        bits = competence({"bits_per_byte": (-values).to_dict()})
        row = compare(measured("fig3", chosen(table), bits), published, set(values.index)).iloc[0]
        assert row.agrees == agrees
        assert row.families == families
        assert 0 < row.p < 0.05
        assert f"of {families} families" in row.note
