from __future__ import annotations

import math

import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.results import labels, views
from platorep.results.facts import Dose
from platorep.results.protocols import chosen
from platorep.results.tables import AlignmentTable
from tests.figures.tables import METRIC, RANDOM, alignment, competence, cross, noise, selected, smaller


def joined(*tables: AlignmentTable) -> AlignmentTable:
    return AlignmentTable.concatenate(tables)


def pairs(table, metric=None, dataset=None):
    return views.pairs(chosen(table), metric, dataset)


def test_facts_are_read_from_columns_and_never_from_names():
    names = {("lm_noise_0.2", "vit_base_224px"): 0.1, ("a", "b"): 0.1, ("plain", "random"): 0.1}
    facts = {"a": noise("lm", 0.45), "b": smaller("net", 32), "plain": RANDOM}
    models = views.models(pairs(cross(names, {"random": "random"}, facts)))
    assert views.doses(models) == {"a": Dose("lm", "weight_noise", 0.45), "b": Dose("net", "input_size", 32)}
    assert views.untrained(models) == ["plain"]


def test_metric_labels_leave_out_what_goes_without_saying():
    assert labels.metric_label(METRIC) == "mutual k-NN (k = 10)"
    assert labels.metric_label("cka(hsic=unbiased,kernel=linear)") == "CKA (unbiased)"
    assert labels.metric_label("cka(hsic=biased,kernel=rbf,sigma=0.5)") == "CKA (biased, rbf, sigma = 0.5)"


def test_the_papers_metric_is_drawn_when_none_is_named():
    table = joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.9}, metric="cka(hsic=unbiased)"))
    assert pairs(table).score.tolist() == [0.1]
    assert pairs(table, "cka(hsic=unbiased)").score.tolist() == [0.9]


def test_an_ambiguous_metric_or_dataset_is_refused():
    with pytest.raises(StoreError, match="holds 2 metrics .* name one"):
        pairs(joined(cross({("l", "v"): 0.1}, metric="cka()"), cross({("l", "v"): 0.1}, metric="rsa()")))
    two = joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.2}, dataset="other--1"))
    with pytest.raises(StoreError, match="holds 2 datasets .* name one"):
        pairs(two)
    assert pairs(two, dataset="other").score.tolist() == [0.2]
    with pytest.raises(
        UnknownNameError, match="unknown dataset in the alignment table 'othr'. Did you mean 'other--1'"
    ):
        pairs(two, dataset="othr")
    with pytest.raises(UnknownNameError, match="unknown metric in the alignment table 'ckaa"):
        pairs(two, "ckaa")


def test_a_pair_that_occurs_twice_is_refused_and_the_difference_named():
    with pytest.raises(StoreError, match="l x v occurs 2 times .* different clip"):
        pairs(joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.2}, clip="none")))


def test_an_empty_table_is_refused():
    with pytest.raises(StoreError, match="empty: run `platorep align`"):
        pairs(AlignmentTable(cross({("l", "v"): 0.1}).frame.iloc[:0]))


def test_cross_modal_takes_either_side_and_leaves_pairs_of_one_modality():
    def side(name):
        return {"l": "language", "v": "vision"}[name[0]]

    scored = [("l1", "v1", 0.1), ("v2", "l1", 0.2), ("l1", "l2", 0.7)]
    table = alignment(
        [{"x_model": x, "y_model": y, "x_modality": side(x), "y_modality": side(y), "score": s} for x, y, s in scored]
    )
    found = views.cross_modal(pairs(table))
    assert found[["language", "vision", "score"]].to_numpy().tolist() == [["l1", "v1", 0.1], ["l1", "v2", 0.2]]
    with pytest.raises(StoreError, match="only language x language"):
        views.cross_modal(pairs(AlignmentTable(table.frame.iloc[2:])))


def test_measure_refuses_what_is_missing_or_ambiguous():
    table = competence({"hellaswag": {"a": 0.3, "b": math.nan}})
    assert views.measure(table, "hellaswag").to_dict() == {"a": 0.3}
    with pytest.raises(StoreError, match="no competence table"):
        views.measure(None, "hellaswag")
    with pytest.raises(UnknownNameError, match="unknown measure in the competence table 'gsm8k'"):
        views.measure(table, "gsm8k")
    twice = type(table).concatenate([table, competence({"hellaswag": {"a": 0.4}}, task="another")])
    with pytest.raises(StoreError, match="a has several values of hellaswag, for 'toy text', 'another'"):
        views.measure(twice, "hellaswag")
    assert views.measure(twice, "hellaswag", "another").to_dict() == {"a": 0.4}


def test_chance_of_mutual_knn_is_k_over_n_minus_1():
    assert views.chance(pairs(cross({("l", "v"): 0.1}, n=101))) == 0.1


def test_chance_of_other_metrics_is_the_null_mean_that_all_pairs_share_or_none():
    scores = {("l", "v"): 0.1, ("l", "w"): 0.2}
    assert views.chance(pairs(cross(scores, metric="cka()", null_mean=0.0))) == 0.0
    assert views.chance(pairs(cross(scores, metric="cka()"))) is None


def test_distinct_drops_shared_words_only_where_names_stay_apart():
    assert labels.distinct(["vit_small_patch14.mae", "vit_base_patch14.mae"]) == ["small", "base"]
    assert labels.distinct(["lite0", "lite0_random"]) == ["lite0", "lite0_random"]
    assert labels.distinct(["alone"]) == ["alone"]


def test_chance_of_held_out_scores_is_what_their_test_says_or_unknown():
    table = cross({("l", "v"): 0.1}, null_mean=0.3)
    rows = chosen(table, "heldout", selected(table, "heldout", permutations=0))
    assert views.chance(rows) is None
    rows = chosen(table, "heldout", selected(table, "heldout", permutations=9, null_mean=0.12))
    assert views.chance(rows) == 0.12


def test_numbers_of_parameters_have_two_or_three_digits_and_a_unit():
    counts = [0, 974, 1000, 45_600, 4_652_008, 134_515_008, 7e9, 65e9, 175e9]
    found = [labels.count_label(count) for count in counts]
    assert found == ["0", "974", "1 k", "46 k", "4.7 M", "135 M", "7 B", "65 B", "175 B"]
