"""Every protocol shows the same scores wherever scores are shown: terminal, figures, comparison, report."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from platorep.align import significance
from platorep.align.significance import Null
from platorep.core.errors import StoreError
from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.figures.text import matrix_table
from platorep.report import payload, write_page
from platorep.report.page import dissect
from platorep.results.protocols import chosen, described
from platorep.results.quantities import measured


SELECTS = ("max", "heldout", "last", "depth:0.5")


@pytest.fixture(scope="module")
def tests_of(small):
    """The selection table of each protocol."""
    language, vision = small.features[:2], small.features[2:]
    pairs = [(a, b) for a in language for b in vision]
    return {select: significance(pairs, small.metrics, select=select, null=Null(permutations=19)) for select in SELECTS}


@pytest.fixture(params=SELECTS)
def select(request):
    return request.param


@pytest.fixture
def expected(tests_of, small, select):
    """The scores of the protocol under the first metric, by (x, y)."""
    frame = tests_of[select].frame
    return frame[frame.metric == small.metrics[0].id].set_index(["x_model", "y_model"]).score


@pytest.fixture
def data(small, tests_of, select):
    return FigureData(alignment=small.alignment, selection=tests_of[select], select=select, competence=small.competence)


def test_the_protocols_give_different_scores(tests_of):
    """Without this the tests below could not fail."""
    scores = [tests_of[select].frame.score.to_numpy() for select in SELECTS]
    assert all(np.abs(a - b).max() > 0.005 for i, a in enumerate(scores) for b in scores[:i])


def test_the_terminal_table(data, expected, small, select):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(matrix_table(data.chosen, metric=small.metrics[0].id))
    text = console.export_text()
    words = text.replace("│", " ").split()
    assert all(f"{score:.3f}" in words for score in expected)
    assert described(select) in " ".join(text.split())


def test_the_matrix_and_the_forest(data, expected, small):
    metric = small.metrics[0].id
    matrix = draw("matrix", data, metric=metric).data.set_index(["x_model", "y_model"]).score
    assert matrix.to_dict() == expected.to_dict()
    axes = draw("matrix", data, metric=metric).figure.axes[0]
    np.testing.assert_array_equal(np.sort(axes.images[0].get_array().ravel()), np.sort(expected))
    (points,) = [line for line in draw("significance", data, metric=metric).figure.axes[0].lines]
    np.testing.assert_array_equal(points.get_xdata(), np.sort(expected))


@pytest.mark.parametrize("name", ["fig3", "fig13"])
def test_figures_by_language_model(name, data, expected, small):
    options = {"fig3": {"metric": small.metrics[0].id}, "fig13": {"metrics": [small.metrics[0].id]}}[name]
    plot = draw(name, data, **options)
    lines = {line.get_label(): line.get_ydata() for axes in plot.figure.axes for line in axes.lines}
    for vision in ("v0", "v1"):
        np.testing.assert_array_equal(np.sort(lines[vision]), np.sort(expected.xs(vision, level="y_model")))
    assert plot.data.set_index(["language", "vision"]).score.to_dict() == expected.to_dict()


def test_the_map_of_layers_states_the_score(data, expected, small):
    figure = draw("layers", data, metric=small.metrics[0].id).figure
    assert any(f": {expected.max():.3f}." in text.get_text().replace("\n", " ") for text in figure.texts)


def test_the_comparison_with_published_values(data, expected, small):
    rows = measured("fig3", data.chosen, small.competence, metric=small.metrics[0].id)
    assert rows[rows.quantity == "largest alignment"].value.item() == expected.max()
    own = rows[rows.quantity == "alignment"].set_index(["x", "y"]).value
    assert own.to_dict() == expected.to_dict()


def test_the_report(changed, tests_of, expected, small, select, tmp_path):
    run = changed(selection=tests_of[select], select=select)
    rows = run.pairs[run.pairs.metric == small.metrics[0].id]
    assert rows.set_index(["x_model", "y_model"]).score.to_dict() == expected.to_dict()
    shown = [pair["score"] for pair in payload.payload(run, dissect(run))["pairs"] if pair["metric"] == 0]
    assert sorted(shown) == pytest.approx(sorted(expected), rel=1e-5)
    page = write_page(run, tmp_path / "page.html").read_text()
    assert all(f"<strong>{score:.3f}".replace("-", "−") in page for score in expected)
    assert described(select) in page
    assert ("Cells are scores of all samples" in page) == (select == "heldout")


def test_nothing_shows_a_maximum_for_a_protocol_that_was_not_scored(small):
    data = FigureData(alignment=small.alignment, select="heldout", competence=small.competence)
    for name in ("matrix", "fig3", "layers", "significance"):
        with pytest.raises(StoreError, match="held-out scores are of halves of the samples"):
            draw(name, data)
    assert (chosen(small.alignment, "last").x_layer == 2).all()
