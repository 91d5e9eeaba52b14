"""The figure of checkpoints: its panels, lines and axes, on tables made by rule."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from platorep.core.errors import SpecError, StoreError
from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.tables import AlignmentTable
from tests.figures.tables import alignment, competence, cross, drawn, plot, said, selected


STEPS = (0, 1, 2, 5, 10)
TRAINED = {f"{family}{seed}": family for family in ("mlp", "conv") for seed in (0, 1)}


def score(a: tuple, b: tuple) -> float:
    """Rises with the steps of both; families that differ align less, and convolutions more."""
    good = [0.2 if step is None else 0.3 + 0.5 * step / 10 for _, step in (a, b)]
    convolutions = sum(name.startswith("conv") for name, _ in (a, b))
    return 0.8 * good[0] * good[1] * (1.0 if a[0][:3] == b[0][:3] else 0.7) * 1.1**convolutions


def table(trained: dict[str, str] = TRAINED, others: tuple[str, ...] = ("pixels",)) -> AlignmentTable:
    """All pairs of the checkpoints of these trainings, and of models without a step."""
    models = [*itertools.product(trained, STEPS), *((name, None) for name in others)]
    rows = []
    for a, b in itertools.combinations(models, 2):
        row = {"score": score(a, b), "n": 1001, "null_mean": 0.01}
        for side, (name, step) in (("x", a), ("y", b)):
            row |= {f"{side}_model": name if step is None else f"{name}-{step}", f"{side}_modality": "vision"}
            row |= {f"{side}_family": trained.get(name, name)}
            row |= {} if step is None else {f"{side}_step": float(step), f"{side}_trajectory": name}
        rows.append(row)
    return alignment(rows)


def sample(style):
    rows = table()
    tests = selected(rows, low=0.0, high=0.0, null_mean=0.012)
    tests.frame["low"], tests.frame["high"] = tests.frame.score - 0.02, tests.frame.score + 0.02
    return plot("dynamics", rows, selection=tests, style=style, options={"unit": "epoch"})


def lines(axes) -> dict[str, object]:
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_a_panel_per_comparison_and_a_line_per_pair_of_families():
    panels = {axes.get_title(loc="left"): axes for axes in drawn("dynamics", table()).axes}
    assert list(panels) == ["at the same step", "with another's last", "with its own last", "with pixels"]
    shown = {title: {*lines(axes)} - {"null"} for title, axes in panels.items()}
    assert shown == {
        "at the same step": {"mlp – mlp", "conv – conv", "conv – mlp"},
        "with another's last": {"mlp → mlp", "mlp → conv", "conv → mlp", "conv → conv"},
        "with its own last": {"mlp", "conv"},
        "with pixels": {"mlp", "conv"},
    }
    x, y = lines(panels["at the same step"])["mlp – mlp"].get_data()
    assert list(x) == list(STEPS)
    assert np.allclose(y, [score(("mlp0", step), ("mlp1", step)) for step in STEPS])
    x, y = lines(panels["with its own last"])["mlp"].get_data()
    assert list(x) == list(STEPS[:-1])  # the last one is not compared with itself
    assert np.allclose(y, [score(("mlp0", step), ("mlp0", 10)) for step in STEPS[:-1]])
    names = ("mlp – mlp", "mlp → mlp", "mlp", "mlp")
    same = {lines(axes)[name].get_color() for axes, name in zip(panels.values(), names, strict=True)}
    assert len(same) == 1  # a family has one colour


def test_the_axis_is_linear_to_the_first_step_and_logarithmic_beyond():
    rows = table().frame
    for side in "xy":
        rows[f"{side}_step"] *= 1000
    axes = drawn("dynamics", AlignmentTable.from_frame(rows)).axes[-1]
    assert axes.get_xscale() == "symlog"
    places = axes.xaxis.get_transform().transform(np.array([0.0, 1000, 2000, 5000, 10_000]))
    assert places[0] == 0
    assert np.diff(places)[1:] == pytest.approx(np.log10([2, 2.5, 2]) / np.log10(10) * 1000)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1k", "2k", "5k", "10k"]
    assert axes.get_xlabel() == "training step"
    assert drawn("dynamics", table(), unit="epoch").axes[-1].get_xlabel() == "training epoch"


def test_bars_reach_over_the_intervals_of_all_pairs_and_the_null_knows_the_choice():
    rows = table()
    chosen = selected(rows, low=0.0, high=0.0, null_mean=0.02)
    frame = chosen.frame
    frame["low"], frame["high"] = frame.score - 0.01, frame.score + 0.01
    first = frame.x_model.eq("mlp0-1") & frame.y_model.eq("pixels")
    frame.loc[first, "high"] += 0.5
    figure = plot("dynamics", rows, selection=chosen).figure
    panel = figure.axes[-1]
    y = lines(panel)["mlp"].get_ydata()
    bars = panel.collections[0].get_segments()
    expected = [(value - 0.01, value + (0.51 if place == 1 else 0.01)) for place, value in enumerate(y)]
    assert np.allclose([bar[:, 1] for bar in bars], expected)
    assert list(lines(panel)["null"].get_ydata()) == pytest.approx([0.02, 0.02])
    assert "knows how layers were chosen" in said(figure)
    plain = drawn("dynamics", rows)
    assert list(lines(plain.axes[-1])["null"].get_ydata()) == pytest.approx([0.01, 0.01])
    assert "is that of fixed layers" in said(plain)
    assert "Bars" not in said(plain)


def test_pairs_across_modalities_have_panels_of_other_models_only_and_loss_falls_to_the_right():
    bits = {"lm-0": 4.0, "lm-1000": 2.0, "lm-4000": 1.0}
    facts = {name: {"step": float(name[3:]), "trajectory": "lm"} for name in bits}
    rows = cross(
        {(name, "net"): 0.3 / value for name, value in bits.items()}, {"net": "net"} | dict.fromkeys(bits, "lm"), facts
    )
    (axes,) = drawn("dynamics", rows, competence({"bits_per_byte": bits}), x="loss").axes
    assert axes.get_title(loc="left") == "with net"
    assert list(lines(axes)["lm"].get_xdata()) == [4.0, 2.0, 1.0]
    left, right = axes.get_xlim()
    assert left > 4 > 1 > right
    assert axes.get_xlabel() == "bits per byte"
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()][-1] == "1"
    signed = competence({"loss": {name: value - 2 for name, value in bits.items()}})
    assert drawn("dynamics", rows, signed, x="loss", measure="loss").axes[0].get_xscale() == "linear"


def test_two_trainings_at_the_same_step_stand_at_their_mean_loss():
    values = {f"{name}-{step}": 1 + seed - step / 20 for seed, name in enumerate(("a", "b")) for step in STEPS}
    figure = drawn("dynamics", table({"a": "net", "b": "net"}), competence({"loss": values}), x="loss", measure="loss")
    assert lines(figure.axes[0])["net – net"].get_xdata() == pytest.approx([1.5 - step / 20 for step in STEPS])


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(SpecError, match="dynamics: x is 'date'; expected step, loss"):
        drawn("dynamics", table(), x="date")
    plain = cross({("lm", "net"): 0.1})
    with pytest.raises(StoreError, match=r"no model has a training step. Add checkpoints: revisions or stops"):
        drawn("dynamics", plain)
    with pytest.raises(StoreError, match="no checkpoint has bits_per_byte in the competence table"):
        drawn("dynamics", table(), competence({"bits_per_byte": {"other": 1.0}}), x="loss")
    twice = table().frame
    for side in "xy":
        twice[f"{side}_trajectory"] = twice[f"{side}_trajectory"].where(twice[f"{side}_step"].isna(), "one")
    with pytest.raises(StoreError, match=r"mlp0-0 and mlp1-0 are both step 0 of one. Give the checkpoints of each"):
        draw("dynamics", FigureData(alignment=AlignmentTable.from_frame(twice)))
