"""The published values are whole, and the comparison says what agrees and what does not."""

import numpy as np
import pandas as pd
import pytest

from platorep import figures
from platorep.commands.studies import STUDIES
from platorep.results.published import COLUMNS, TRUST, compare, targets
from platorep.results.quantities import QUANTITIES, Quantity


def found(*rows):
    return pd.DataFrame([Quantity(*row) for row in rows], columns=list(Quantity._fields))


def published(*rows):
    return pd.DataFrame(rows, columns=["quantity", "x", "y", "relation", "value", "scope"]).assign(
        figure="fig3", source="s", trust="paper"
    )


def test_every_published_value_has_a_source_a_trust_and_a_figure():
    frame = targets()
    assert list(frame.columns) == list(COLUMNS)
    assert set(frame.trust) <= set(TRUST)
    assert set(frame.relation) == {"=", ">"}
    assert set(frame.scope) == {"paper", "any"}
    assert (frame.source != "").all()
    assert set(frame.figure) <= set(figures.known())
    assert set(frame.figure) <= {*QUANTITIES, *STUDIES}
    assert not frame.duplicated(["figure", "quantity", "x", "y", "relation"]).any()
    assert np.isfinite(frame.value).all()


def test_figure_3_has_the_12_language_models_on_4_sizes_of_dinov2():
    frame = targets("fig3")
    table = frame[frame.quantity == "alignment"].pivot(index="x", columns="y", values="value")
    assert table.shape == (12, 4)
    assert table.notna().all().all()
    assert table.loc["llama-65b", "dinov2-giant"] == 0.165
    assert table.mean()[["dinov2-small", "dinov2-base", "dinov2-large", "dinov2-giant"]].is_monotonic_increasing


@pytest.mark.parametrize(
    ("row", "agrees"),
    [
        (("rise", "", "", 0.4), "yes"),
        (("rise", "", "", -0.4), "no"),
        (("rise", "", "", 0.4, -0.1, 0.9), "not surely"),
        (("rise", "", "", 0.4, 0.1, 0.9), "yes"),
    ],
)
def test_a_direction_agrees_when_the_whole_interval_lies_above(row, agrees):
    made = compare(found(row), published(("rise", "", "", ">", 0.0, "any")), {"mine"})
    assert made.agrees.tolist() == [agrees]
    assert made.published.tolist() == ["> 0"]
    assert made.difference.isna().all()


def test_numbers_have_a_difference_and_models_that_were_not_run_are_left_out():
    table = published(
        ("alignment", "llama-7b", "dinov2-base", "=", 0.142, "paper"),
        ("alignment", "llama-13b", "dinov2-base", "=", 0.141, "paper"),
    )
    made = compare(found(("alignment", "llama-7b", "dinov2-base", 0.150)), table, {"llama-7b", "dinov2-base"})
    assert made[["x", "published"]].to_numpy().tolist() == [["llama-7b", "0.142"]]
    assert made.difference.iloc[0] == pytest.approx(0.008)


def test_what_holds_for_the_papers_models_only_is_not_compared_with_others():
    table = published(("largest", "", "", "=", 0.16, "paper"), ("rise", "", "", ">", 0.0, "any"))
    rows = found(("largest", "", "", 0.5), ("rise", "", "", 0.9))
    assert compare(rows, table, {"mine"}).published.tolist() == ["> 0", ""]
    assert compare(rows, table, {"dinov2-base"}).published.tolist() == ["> 0", "0.16"]


def test_a_published_value_that_was_not_measured_stands_beside_nothing():
    made = compare(found(), published(("rise", "", "", ">", 0.0, "any")), {"mine"})
    assert made.measured.isna().all()
    assert made.agrees.tolist() == [""]
