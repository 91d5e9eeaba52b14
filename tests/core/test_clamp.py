"""The rule by which outlying values are clamped."""

import numpy as np
import pytest

from platorep.core.clamp import EXACT, NONE, Clamp
from platorep.core.errors import SpecError


def test_the_id_is_what_tables_and_the_names_of_parts_hold():
    ids = [clamp.id for clamp in (EXACT, Clamp("approximate", 0.9), NONE, Clamp("none", 0.5), Clamp("exact", 0.999))]
    assert ids == ["exact(0.95)", "approximate(0.9)", "none", "none", "exact(0.999)"]


def test_a_quantile_may_be_a_number_of_another_library():
    assert Clamp("exact", np.float64(0.9)) == Clamp("exact", 0.9)
    assert Clamp("exact", np.float32(0.9)).id == "exact(0.9)"


@pytest.mark.parametrize("quantile", [0, 1, -0.1, 95, True, "a", None, float("nan")])
def test_other_quantiles_are_refused(quantile):
    with pytest.raises(SpecError, match="the clamp's quantile is .*; expected a number between 0 and 1, such as 0.95"):
        Clamp("exact", quantile)


def test_other_rules_are_refused():
    with pytest.raises(SpecError, match="the clamp's rule is 'exakt'; expected exact, approximate or none"):
        Clamp("exakt")
