"""Imports go downwards only, by file and without a cycle; the core loads without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

import platorep
from tests.architecture.graph import cycles, imports, modules


PACKAGE = Path(platorep.__file__).parent

LAYERS = [
    {"core"},
    {"metrics", "stats", "assets"},
    {"results"},
    {"models", "data", "training"},
    {"extract", "align", "maps", "units", "merging", "stitching"},
    {"competence", "figures", "brains", "studies"},
    {"theory", "report"},
    {"api"},
    {"", "commands"},
    {"cli"},
    {"__main__"},
]
"""Subpackages from the bottom up ("" is platorep/__init__.py); each may import its own layer and those below."""

LEVEL = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module):
    return [*module.split("."), ""][1]


def upward(graph):
    """Imports of a higher layer, as (importer, imported)."""
    return [(a, b) for a, others in graph.items() for b in sorted(others) if LEVEL[room_of(b)] > LEVEL[room_of(a)]]


def test_imports_go_downwards_only():
    assert upward(imports(PACKAGE)) == []


def test_no_module_imports_itself_through_others():
    assert cycles(imports(PACKAGE)) == []


@pytest.fixture
def copy(tmp_path):
    """A package of a few modules in which imports go downwards and in no circle."""
    package = tmp_path / "platorep"
    sources = {
        "__init__.py": "",
        "core/__init__.py": "",
        "core/files.py": "import json",
        "core/store.py": "from platorep.core import files",
        "align/__init__.py": "from platorep.align.engine import align",
        "align/engine.py": "def align():\n    from platorep.core.store import files",
    }
    for name, text in sources.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    return package


def test_the_checks_find_nothing_where_there_is_nothing(copy):
    assert cycles(imports(copy)) == []
    assert upward(imports(copy)) == []


def test_a_planted_cycle_is_found(copy):
    (copy / "core" / "files.py").write_text("def read():\n    from platorep.core.store import Store")
    assert cycles(imports(copy)) == [["platorep.core.files", "platorep.core.store"]]


def test_a_planted_upward_import_is_found_wherever_it_stands(copy):
    (copy / "core" / "files.py").write_text("def read():\n    from platorep.align import engine")
    assert upward(imports(copy)) == [("platorep.core.files", "platorep.align.engine")]
    (copy / "core" / "files.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import platorep.align.engine"
    )
    assert upward(imports(copy)) == [("platorep.core.files", "platorep.align.engine")]


def test_every_room_has_a_layer_and_the_top_level_holds_packages_only():
    rooms = {room_of(name) for name in modules(PACKAGE)}
    assert rooms == set(LEVEL)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "api.py"}


@pytest.mark.parametrize(
    "module", ["platorep", "platorep.core.specs", "platorep.core.store", "platorep.results.tables", "platorep.cli"]
)
def test_the_core_and_the_command_line_load_without_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_check_for_torch_can_fail():
    code = "import sys; sys.modules['torch'] = sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 1
