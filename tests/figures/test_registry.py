from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from platorep.cli.schema import config_dir
from platorep.core.errors import StoreError, UnknownNameError
from platorep.figures import about, draw, find, known, needs
from platorep.figures.data import MISSING, FigureData
from tests.figures.tables import cross


@pytest.mark.parametrize("name", known())
def test_every_figure_is_the_function_of_its_module_and_says_what_it_needs(name):
    function = find(name)
    parameters = list(inspect.signature(function).parameters.values())
    assert function.__name__ == name
    assert parameters[0].name == "data"
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
    assert function.__doc__
    assert needs(name)
    assert set(needs(name)) <= set(MISSING)
    assert about(name).endswith((".", ")."))


def test_every_figure_has_a_configuration_and_no_configuration_is_left_over():
    assert sorted(path.stem for path in (config_dir() / "figure").glob("*.yaml")) == known()


def test_modules_that_figures_share_are_no_figures():
    assert not {"style", "layout", "marks", "labels", "heat", "curves", "data", "text"} & set(known())


@pytest.mark.parametrize("name", known())
def test_a_figure_without_its_tables_says_how_to_get_them(name):
    with pytest.raises(StoreError, match=re.escape(f"the figure needs {MISSING[needs(name)[0]]} first.")):
        draw(name, FigureData())


def test_unknown_figure_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown figure 'matrx'. Did you mean 'matrix'"):
        draw("matrx", FigureData(alignment=cross({("l", "v"): 0.1})))


def test_unknown_option_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown option of figure matrix 'metrics'. Did you mean 'metric'"):
        draw("matrix", FigureData(alignment=cross({("l", "v"): 0.1})), metrics="cka")


def test_the_registry_imports_no_matplotlib():
    code = "import sys, platorep.figures as f; f.known(), f.about('fig3'); sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
