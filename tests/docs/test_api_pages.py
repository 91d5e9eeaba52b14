"""The pages of the Python interface are made from docstrings, and hold every public name."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import platorep
from platorep.metrics.registry import METRICS


sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from api_docs import MODULES, write_pages


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    write_pages(folder)
    return {name: (folder / f"{name.replace('.', '/')}.html").read_text(encoding="utf-8") for name in MODULES}


def documented(page):
    """Names of a page that have a text: the anchor of each, followed by its docstring."""
    sections = re.split(r'<(?:section|div) id="([\w.]+)"', page)[1:]
    return {name for name, text in zip(sections[::2], sections[1::2], strict=True) if 'class="docstring"' in text}


@pytest.mark.parametrize("module", ["platorep", "platorep.figures", "platorep.results.outputs"])
def test_every_public_name_is_on_its_page_with_its_docstring(pages, module):
    names = getattr(import_module(module), "__all__", ["Outputs", "Outputs.scores", "Outputs.features"])
    assert set(names) - {"__version__"} <= documented(pages[module])
    assert "no_such_name" not in documented(pages[module])


def test_every_metric_has_a_page(pages):
    for name, place in METRICS.items():
        module, kind = place.split(":")
        assert kind in documented(pages[module]), name


def test_arguments_and_errors_of_a_docstring_are_lists(pages):
    page = pages["platorep"]
    for name in ("score", "score_layers", "compare", "significance"):
        text = page.partition(f'<section id="{name}">')[2].partition("</section>")[0]
        assert "<h6" in text
        assert "Arguments:" in text
        assert "Returns:" in text
    assert platorep.score.__doc__.partition("\n")[0] in page


def test_a_module_whose_names_cannot_be_read_stops_the_build(tmp_path, monkeypatch):
    (tmp_path / "broken_names.py").write_text('"""A module."""\n\n__all__ = ["absent"]\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError, match="absent"):
        write_pages(tmp_path / "pages", ["broken_names"])
