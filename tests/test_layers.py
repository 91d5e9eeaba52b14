"""Imports go downwards only, and the core loads without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import platorep


PACKAGE = Path(platorep.__file__).parent

LAYERS = [
    {"core"},
    {"metrics", "stats"},
    {"assets", "models", "data"},
    {
        "extract",
        "align",
        "competence",
        "figures",
        "theory",
        "report",
        "imports",
        "captions",
        "controls",
        "api",
        "progress",
    },
    {
        "config",
        "pipeline",
        "measuring",
        "stages",
        "galleries",
        "reproduce",
        "listing",
        "doctor",
        "storage",
        "tasks",
        "launch",
        "cli",
        "__main__",
    },
]
"""Rooms of the house from the ground up: a room may import its own floor and those below."""

FLOOR = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    """First components below `platorep` that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("platorep.")}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "platorep":
                found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
            elif node.module.startswith("platorep."):
                found.add(node.module.split(".")[1])
    return found


def upward(room: str, source: str) -> set[str]:
    return {other for other in imported_rooms(source) if FLOOR[other] > FLOOR[room]}


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downwards_only(path):
    assert upward(room_of(path), path.read_text(encoding="utf-8")) == set()


def test_the_check_above_finds_an_upward_import():
    assert upward("core", "def f():\n    from platorep.align import align") == {"align"}
    assert upward("metrics", "import platorep.cli") == {"cli"}
    assert upward("align", "from platorep import stages, __version__") == {"stages"}


@pytest.mark.parametrize(
    "module",
    ["platorep", "platorep.core.specs", "platorep.core.store", "platorep.results.tables", "platorep.cli.schema"],
)
def test_the_core_loads_without_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_check_above_can_fail():
    assert (
        subprocess.run(
            [sys.executable, "-c", "import torch, sys; sys.exit('torch' in sys.modules)"], check=False
        ).returncode
        == 1
    )
