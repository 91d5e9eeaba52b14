from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from platorep.core.errors import UnknownNameError
from platorep.figures import draw, find, known
from tests.figures.tables import cross


def test_every_known_figure_is_the_function_of_its_module():
    for name in known():
        function = find(name)
        parameters = list(inspect.signature(function).parameters.values())
        assert function.__name__ == name
        assert [p.name for p in parameters[:2]] == ["alignment", "competence"]
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters[2:])
        assert function.__doc__


def test_unknown_figure_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown figure 'matrx'. Did you mean 'matrix'"):
        draw("matrx", cross({("l", "v"): 0.1}))


def test_unknown_option_is_answered_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown option of figure matrix 'metrics'. Did you mean 'metric'"):
        draw("matrix", cross({("l", "v"): 0.1}), metrics="cka")


def test_the_registry_imports_no_matplotlib():
    code = "import sys, platorep.figures as f; f.known(); sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
