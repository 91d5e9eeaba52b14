"""The line of some models and the others beside it, on tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import SpecError, StoreError
from platorep.figures.data import Plot
from tests.figures.tables import competence, cross, plot, said


BITS = {"old-1": 1.5, "old-2": 1.3, "old-3": 1.1, "old-4": 1.0, "new-1": 1.25, "new-2": 1.05}
SCORES = {"old-1": 0.06, "old-2": 0.11, "old-3": 0.14, "old-4": 0.17, "new-1": 0.08, "new-2": 0.1}
FAMILIES = {name: name.split("-")[0] for name in BITS}


def drawn(style=None, **options) -> Plot:
    table = cross({(name, "net"): score for name, score in SCORES.items()}, FAMILIES, n=1001)
    return plot("extrapolation", table, competence({"bits_per_byte": BITS}), style=style, options=options)


def sample(style):
    return drawn(style, fit_on=["old"])


def test_the_line_is_that_of_the_models_that_are_named_by_family_or_name():
    for fit_on in (["old"], ["old-1", "old-2", "old-3", "old-4"]):
        found = drawn(fit_on=fit_on)
        old = found.data[found.data.fitted]
        assert set(old.language) == {"old-1", "old-2", "old-3", "old-4"}
        slope, intercept = np.polyfit(old.x, old.y, 1)
        assert np.allclose(found.data.line, intercept + slope * found.data.x)
        assert "R² 0.99 on the 4 models of the line, −" in said(found.figure)
        assert "too few for intervals" in said(found.figure)


def test_a_figure_without_models_to_fit_or_to_predict_is_refused():
    with pytest.raises(SpecError, match="names no model or family"):
        drawn()
    with pytest.raises(StoreError, match="got 0 to fit and 6 others"):
        drawn(fit_on=["nobody"])
