"""Sizes that keep a module readable in one sitting: files, functions, parameters."""

import ast
from pathlib import Path

import pytest

import platorep


PACKAGE = Path(platorep.__file__).parent

FILE, FUNCTION, PARAMETERS = 350, 60, 8
"""Lines of a file, lines of a function without its docstring, parameters of a function."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions that may be longer, "file:name", each with the reason."""

MANY_PARAMETERS: dict[str, str] = {
    "api.py:significance": "the public surface: every setting of a test by keyword",
    "stats/trends.py:trend": "every setting of the test by keyword",
    "metrics/knn.py:growing": "the arguments of `nearest` for several galleries",
    "theory/colour.py:colour": "an experiment's options, which the command line sets by name",
}
"""Functions that may take more parameters, "file:name", each with the reason."""


def functions(source):
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def lines_of(function):
    """Lines of a function's signature and body; its docstring is documentation and does not count."""
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


def parameters_of(function):
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def too_large(source, name, long=LONG_FUNCTIONS, many=MANY_PARAMETERS):
    """What of a file is over the limits, in words."""
    found = [f"{name}: {source.count(chr(10))} lines"] if source.count("\n") > FILE else []
    for function in functions(source):
        where = f"{name}:{function.name}"
        if lines_of(function) > FUNCTION and where not in long:
            found.append(f"{where}: {lines_of(function)} lines")
        if parameters_of(function) > PARAMETERS and where not in many:
            found.append(f"{where}: {parameters_of(function)} parameters")
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_file_functions_and_parameters_stay_within_the_limits(path):
    assert too_large(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()) == []


def test_no_exception_is_declared_in_vain():
    names = {
        f"{path.relative_to(PACKAGE).as_posix()}:{function.name}"
        for path in SOURCES
        for function in functions(path.read_text(encoding="utf-8"))
        if lines_of(function) > FUNCTION or parameters_of(function) > PARAMETERS
    }
    assert {*LONG_FUNCTIONS, *MANY_PARAMETERS} <= names


def test_the_check_finds_what_is_too_large():
    body = "    x = 1\n" * 60
    assert too_large(f"def f():\n{body}", "a.py") == ["a.py:f: 61 lines"]
    assert too_large(f'def f():\n    """{body}"""\n    return 1', "a.py") == []
    assert too_large("def f(a, b, c, d, e, *, g, h, i, j): pass", "a.py") == ["a.py:f: 9 parameters"]
    assert too_large("x = 1\n" * 351, "a.py") == ["a.py: 351 lines"]
