from __future__ import annotations

import math

import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.results import views
from platorep.results.tables import AlignmentTable
from platorep.results.views import Dose
from tests.figures.tables import METRIC, alignment, competence, cross


def joined(*tables: AlignmentTable) -> AlignmentTable:
    return AlignmentTable.concatenate(tables)


def test_doses_are_read_from_the_suites_names():
    assert views.doses(["a_noise_0.2", "a_noise45", "b_px_64", "b_032px", "a", "a_random", "noise_0.1", "b_224"]) == {
        "a_noise_0.2": Dose("a", "weight_noise", 0.2),
        "a_noise45": Dose("a", "weight_noise", 0.45),
        "b_px_64": Dose("b", "input_size", 64),
        "b_032px": Dose("b", "input_size", 32),
    }


def test_metric_labels_leave_out_what_goes_without_saying():
    assert views.metric_label(METRIC) == "mutual k-NN (k = 10)"
    assert views.metric_label("cka(hsic=unbiased,kernel=linear)") == "CKA (unbiased)"
    assert views.metric_label("cka(hsic=biased,kernel=rbf,sigma=0.5)") == "CKA (biased, rbf, sigma = 0.5)"


def test_the_papers_metric_is_drawn_when_none_is_named():
    table = joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.9}, metric="cka(hsic=unbiased)"))
    assert views.best_pairs(table).score.tolist() == [0.1]
    assert views.best_pairs(table, "cka(hsic=unbiased)").score.tolist() == [0.9]


def test_an_ambiguous_metric_or_dataset_is_refused():
    with pytest.raises(StoreError, match="holds 2 metrics .* name one"):
        views.best_pairs(joined(cross({("l", "v"): 0.1}, metric="cka()"), cross({("l", "v"): 0.1}, metric="rsa()")))
    two = joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.2}, dataset="other--1"))
    with pytest.raises(StoreError, match="holds 2 datasets .* name one"):
        views.best_pairs(two)
    assert views.best_pairs(two, dataset="other").score.tolist() == [0.2]
    with pytest.raises(
        UnknownNameError, match="unknown dataset in the alignment table 'othr'. Did you mean 'other--1'"
    ):
        views.best_pairs(two, dataset="othr")
    with pytest.raises(UnknownNameError, match="unknown metric in the alignment table 'ckaa"):
        views.best_pairs(two, "ckaa")


def test_a_pair_that_occurs_twice_is_refused_and_the_difference_named():
    with pytest.raises(StoreError, match="l x v occurs 2 times .* different clip"):
        views.best_pairs(joined(cross({("l", "v"): 0.1}), cross({("l", "v"): 0.2}, clip="none")))


def test_an_empty_table_is_refused():
    with pytest.raises(StoreError, match="empty: run `platorep align`"):
        views.best_pairs(AlignmentTable(cross({("l", "v"): 0.1}).frame.iloc[:0]))


def test_cross_modal_takes_either_side_and_leaves_pairs_of_one_modality():
    def side(name):
        return {"l": "language", "v": "vision"}[name[0]]

    pairs = [("l1", "v1", 0.1), ("v2", "l1", 0.2), ("l1", "l2", 0.7)]
    table = alignment(
        [{"x_model": x, "y_model": y, "x_modality": side(x), "y_modality": side(y), "score": s} for x, y, s in pairs]
    )
    found = views.cross_modal(views.best_pairs(table))
    assert found[["language", "vision", "score"]].to_numpy().tolist() == [["l1", "v1", 0.1], ["l1", "v2", 0.2]]
    with pytest.raises(StoreError, match="only language x language"):
        views.cross_modal(views.best_pairs(AlignmentTable(table.frame.iloc[2:])))


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
    assert views.chance(views.best_pairs(cross({("l", "v"): 0.1}, n=101))) == 0.1


def test_chance_of_other_metrics_is_the_null_mean_that_all_pairs_share_or_none():
    scores = {("l", "v"): 0.1, ("l", "w"): 0.2}
    assert views.chance(views.best_pairs(cross(scores, metric="cka()", null_mean=0.0))) == 0.0
    assert views.chance(views.best_pairs(cross(scores, metric="cka()"))) is None


def test_distinct_drops_shared_words_only_where_names_stay_apart():
    assert views.distinct(["vit_small_patch14.mae", "vit_base_patch14.mae"]) == ["small", "base"]
    assert views.distinct(["lite0", "lite0_random"]) == ["lite0", "lite0_random"]
    assert views.distinct(["alone"]) == ["alone"]
