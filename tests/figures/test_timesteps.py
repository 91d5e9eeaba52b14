"""The map of blocks and timesteps, on a table made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from platorep.core.errors import StoreError, UnknownNameError
from platorep.figures import draw
from platorep.figures.data import FigureData
from platorep.results.tables import AlignmentTable
from tests.figures.tables import alignment


TIMES, BLOCKS = (0.1, 0.3, 0.5, 0.7, 0.9), 6


def score(block: int, t: float) -> float:
    return 0.3 * (1 - t) * (1 - ((block - 3) / 6) ** 2)


def table(*, turned: bool = False) -> AlignmentTable:
    rows, names = [], []
    own, other = ("y", "x") if turned else ("x", "y")
    for model, good in (("diffusion", 1.0), ("diffusion_untrained", 0.2)):
        for partner, weights, better in (("net", "pretrained", 1.0), ("net_random", "random", 1.5)):
            for place, (t, block) in enumerate((t, block) for t in TIMES for block in range(BLOCKS)):
                for layer in (0, 1):  # the last layer is the one that is shown
                    row = {f"{own}_model": model, f"{other}_model": partner, f"{other}_weights": weights}
                    row |= {f"{own}_layer": place, f"{other}_layer": layer, "x_modality": "vision"}
                    row |= {"y_modality": "vision", "score": good * better * score(block, t) * (1 + layer) / 2}
                    rows.append(row)
                    names.append(f"block.{block:02d}/t={t:.2f}")
    frame = alignment(rows).frame
    frame[f"{own}_layer_name"] = names
    return AlignmentTable.from_frame(frame)


def sample(style):
    return draw("timesteps", FigureData(alignment=table()), style=style)


@pytest.mark.parametrize("turned", [False, True])
def test_a_cell_is_the_score_of_its_block_and_timestep_with_the_last_layer(turned):
    plot = draw("timesteps", FigureData(alignment=table(turned=turned)))
    shown = plot.figure.axes[0].images[0].get_array()
    expected = [[score(block, t) for t in TIMES] for block in range(BLOCKS)]
    assert np.allclose(shown, expected)
    assert [text.get_text() for text in plot.figure.axes[0].get_xticklabels()] == [".1", ".3", ".5", ".7", ".9"]
    assert np.allclose(plot.figure.axes[1].images[0].get_array(), 0.2 * np.array(expected))
    assert set(plot.data.other) == {"net"}  # not the one with random weights


def test_the_other_model_can_be_named_and_layers_need_timesteps():
    data = FigureData(alignment=table())
    assert set(draw("timesteps", data, y="net_random").data.other) == {"net_random"}
    with pytest.raises(UnknownNameError, match="'nett'"):
        draw("timesteps", data, y="nett")
    plain = table().frame.assign(x_layer_name="block.1")
    with pytest.raises(StoreError, match="no layer has a timestep in its name"):
        draw("timesteps", FigureData(alignment=AlignmentTable.from_frame(plain)))
