"""Figures of matched units, on tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.results.units import ShareTable
from tests.figures.samples import ZOO
from tests.figures.tables import plot, said, unit_shares
from tests.figures.test_fig3 import lines


def test_sizes_are_on_logarithmic_axes_with_the_power_law_and_its_exponent():
    power = {f"m{i}": (f"f{i}", 10.0 ** (6 + i), 0.4 * 10 ** (-0.1 * i)) for i in range(6)}
    figure = plot("units", units=unit_shares(power)).figure
    number, share, _ = figure.axes
    assert np.allclose(
        sorted(np.concatenate([line.get_xdata() for name, line in lines(number).items() if name != "power law"])),
        range(6, 12),
    )
    assert [tick.get_text() for tick in number.get_xticklabels()][:1] == ["1 M"]
    fitted = lines(share)["power law"]
    slope = np.diff(fitted.get_ydata()) / np.diff(fitted.get_xdata())
    assert "over 6 models of 6 families" in said(figure)
    assert f"Share: exponent −{-slope.item():.2f} [" in said(figure)


def test_controls_have_a_line_by_depth_and_no_point_against_parameters():
    figure = plot("units", units=unit_shares(ZOO)).figure
    number, _, depth = figure.axes
    assert {"vit_random", "permuted", "rotated"} <= set(lines(depth))
    assert set(lines(number)) == {"vit", "net", "power law"}
    x = unit_shares(ZOO).frame.query(
        "x_model == 'vit_small' and x_layer == 0 and y_model in ['vit_base', 'net_50', 'net_101']"
    )
    assert lines(depth)["vit_small"].get_ydata()[0] == pytest.approx(x.score.mean())  # not over the random model
    assert "2 families are too few for an interval" in said(figure)


def test_one_size_leaves_the_panel_by_depth_alone():
    figure = plot("units", units=unit_shares({name: ("f", 5e6, 0.2) for name in "abc"})).figure
    assert len(figure.axes) == 1


def test_models_without_parameters_or_counted_units_leave_the_fit_finite():
    shares = {"a": ("f", float("nan"), 0.2), "b": ("f", 5e6, 0.2), "c": ("g", 6e6, 0.3), "d": ("g", 9e6, 0.0)}
    figure = plot("units", units=unit_shares(shares)).figure
    assert "over 2 models; 2 families are too few" in said(figure)


def test_the_matrix_counts_by_row_and_closes_with_the_ceiling():
    figure = plot("unit_matrix", units=unit_shares(ZOO)).figure
    values = figure.axes[0].images[0].get_array()
    assert np.allclose(np.diag(values), 1)
    assert values[0, 4] == pytest.approx((0.3 * 0.01) ** 0.5)
    assert "With permuted samples 0.010 to 0.010. With rotated bases 0.070 to 0.070." in said(figure)


def test_measures_and_tables_that_are_not_there_are_named():
    with pytest.raises(UnknownNameError, match="unknown measure of units 'universal'. Known: shared"):
        plot("units", units=unit_shares(ZOO), options={"measure": "universal"})
    alone = unit_shares({"a": ("f", 1e6, 0.1)})
    with pytest.raises(StoreError, match="the table compares no two models with each other"):
        plot("units", units=ShareTable(alone.frame))
