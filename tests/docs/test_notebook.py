"""The notebook of docs/examples runs from top to bottom and shows what it stores."""

import re

import nbformat
import pytest

from tests.docs.notebook import NOTEBOOK, executed


NUMBER = re.compile(r"-?\d+\.\d+")


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """The cells with code as stored and as executed now."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells, executed(tmp_path_factory.mktemp("notebook")).cells
    return [[cell for cell in side if cell.cell_type == "code"] for side in cells]


def text(cell):
    """What a cell prints and returns; a picture counts as one word."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts.append("picture" if "image/png" in data else data.get("text/plain", output.get("text", "")))
    return "\n".join(parts)


def test_every_cell_prints_what_the_notebook_stores(notebooks):
    stored, now = ([text(cell) for cell in side] for side in notebooks)
    assert [NUMBER.sub("#", part) for part in now] == [NUMBER.sub("#", part) for part in stored]
    assert sum(part == "picture" for part in now) == 2
    for before, after in zip(stored, now, strict=True):
        # trained networks differ a little from processor to processor
        assert [float(n) for n in NUMBER.findall(after)] == pytest.approx(
            [float(n) for n in NUMBER.findall(before)], abs=0.05
        )


def test_what_the_text_says_is_what_the_numbers_say(notebooks):
    shown = "\n".join(text(cell) for cell in notebooks[1])
    scores = {name: float(value) for name, value in re.findall(r"pixels and (\w+): ([\d.]+)", shown)}
    assert scores["projections"] > 0.5 > scores["edges"] > 0.1
    assert abs(scores["noise"] - 10 / 399) < 0.02
    before, after = map(float, re.search(r"second layers: ([\d.]+) before, ([\d.]+) after", shown).groups())
    assert after > before + 0.2  # training brings them together ...
    assert before > 5 * 10 / 399  # ... from far above chance
