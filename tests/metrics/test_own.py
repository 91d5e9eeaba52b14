"""Metrics and figures of the user's own, named by the path of their module."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import platorep
from platorep.cli.words import check_choices, config_folders, own_objects
from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.plugins import load_object
from platorep.figures import draw, find
from platorep.metrics.base import Geometry, Metric
from platorep.metrics.registry import build, build_all, parse
from platorep.results.labels import metric_label


PAGE = (Path(__file__).parents[2] / "docs" / "own_metrics.md").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The module of docs/own_metrics.md in the working directory; a call writes it with a change of its text."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    source = "\n".join(block for block in blocks if "class " in block or "@figure" in block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(old="", new="", module="own"):
        (tmp_path / f"{module}.py").write_text(source.replace(old, new) if old else source, encoding="utf-8")
        sys.modules.pop(module, None)

    write()
    yield write
    sys.modules.pop("own", None)


def features(seed, n=60):
    return np.random.default_rng(seed).normal(size=(n, 6))


def test_a_path_gives_a_metric_whose_parameters_are_its_fields(own):
    metric = build("own.RowCorrelation", power=3)
    assert isinstance(metric, Metric)
    assert metric.power == 3
    assert re.fullmatch(r"row_correlation\(code=[0-9a-f]{8},power=3,similarity=cosine\)", metric.id)
    assert parse("own.RowCorrelation(power=3)") == metric
    assert metric_label(metric.id) == "row correlation (power = 3)"
    several = build_all({"RowCorrelation": {"_target_": "own.RowCorrelation", "power": [1, 3]}, "cka": {}}, "random")
    assert [metric.id.partition("(")[0] for metric in several] == ["row_correlation", "row_correlation", "cka"]


def test_another_text_of_the_module_is_another_metric(own):
    before = build("own.RowCorrelation").id
    own("power: int = 1", "power: int = 1  # changed")
    after = build("own.RowCorrelation").id
    assert after != before
    own()
    assert build("own.RowCorrelation").id == before


def test_relabelling_a_prepared_layer_is_preparing_relabelled_samples(own):
    from platorep.metrics.relabelling import Relabelling

    metric, x = build("own.RowCorrelation"), torch.tensor(features(0), dtype=torch.float32)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    moved = metric.prepare(Geometry(x)).relabelled(Relabelling(order))
    torch.testing.assert_close(moved.values, metric.prepare(Geometry(x[order])).values)


def test_its_scores_have_nulls_and_p_values_that_tell_related_from_unrelated_features(own):
    x = features(0)
    models = {"a": x, "b": x + 0.3 * features(1), "c": features(2)}
    frame = platorep.significance(models, "own.RowCorrelation", permutations=99, seed=0).frame
    related, unrelated = frame.iloc[0], frame.iloc[1]
    assert related.p_family == 0.01 < 0.1 < unrelated.p_family
    assert abs(related.null_mean) < 0.05 < 0.5 < related.corrected
    held = platorep.significance(models, "own.RowCorrelation", select="heldout").frame
    assert held.scored_n.eq(30).all()
    assert held.score.iloc[0] > 0.5 > held.score.iloc[1]
    assert platorep.score(x, x, "own.RowCorrelation") == pytest.approx(1)


def test_an_own_figure_is_drawn_from_the_same_tables(own):
    from platorep.figures.data import FigureData

    table = platorep.compare({"a": features(0), "b": features(1), "c": features(2)})
    plot = draw("own.dots", FigureData(alignment=table), colour="red")
    assert len(plot.data) == 3
    assert plot.figure.axes[0].lines[0].get_color() == "red"
    with pytest.raises(UnknownNameError, match="unknown option of figure own.dots 'color'. Did you mean 'colour'"):
        draw("own.dots", FigureData(alignment=table), color="red")


@pytest.mark.parametrize(
    ("path", "old", "new", "error", "message"),
    [
        ("owm.RowCorrelation", "", "", SpecError, "no module owm on Python's path or in .*Run from the folder"),
        ("own.RowCorelation", "", "", UnknownNameError, "unknown name in own .*Did you mean 'RowCorrelation'"),
        ("own.Rows", "", "", SpecError, "own.Rows is no metric; expected a subclass"),
        ("own.RowCorrelation", "import torch", "import torchh", SpecError, "importing own failed: ModuleNotFound"),
        ("own.RowCorrelation", "def score_all", "def score_some", SpecError, "own.RowCorrelation lacks score_all"),
        ("own.RowCorrelation", '"row_correlation"', '"cka"', SpecError, "has the name 'cka'; expected"),
        ("own.RowCorrelation", "title: ClassVar[str]", "subtitle: ClassVar[str]", SpecError, "has no title; add"),
    ],
)
def test_what_is_no_metric_is_refused_with_the_reason(own, path, old, new, error, message):
    own(old, new)
    with pytest.raises(error, match=message):
        build(path)


def test_a_function_without_the_decorator_is_no_figure(own):
    own('@figure("alignment")\n', "")
    with pytest.raises(SpecError, match=r"own.dots is no figure; expected a function with the decorator"):
        find("own.dots")


def test_the_working_directory_does_not_hide_installed_modules(own):
    own(module="json")
    assert load_object("json.dumps")({}) == "{}"


def test_paths_are_choices_of_metrics_and_figures_only():
    words = ["metric=[mutual_knn,own.RowCorrelation]", "figure=own.dots", "suite=offline"]
    check_choices(words, config_folders([]))
    assert own_objects(words) == [("metric", "own.RowCorrelation"), ("figure", "own.dots")]
    assert own_objects(["metric=cka,own.A", "metric.mutual_knn.k=1.5"]) == [("metric", "own.A")]
    with pytest.raises(UnknownNameError, match=r"unknown suite 'own.mine'"):
        check_choices(["suite=own.mine"], config_folders([]))
