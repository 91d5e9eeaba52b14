"""The import graph of a package by file, read from its source: wherever an import stands, it counts."""

from __future__ import annotations

import ast
from pathlib import Path


def modules(package: Path) -> dict[str, Path]:
    """Dotted name of every module below a package's folder, "platorep" for the package itself."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> dict[str, set[str]]:
    """For every module the modules of the package that it imports; a package's module is named without __init__."""
    known = modules(package)
    return {name: targets(path.read_text(encoding="utf-8"), known) - {name} for name, path in known.items()}


def targets(source: str, known: dict[str, Path]) -> set[str]:
    """Modules among `known` that a source text imports.

    An import under `if TYPE_CHECKING:` counts as well: a type of a higher layer is knowledge of a higher layer.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in known:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in known else node.module)
    return found


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other in a circle: strongly connected components of more than one module."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(start: str, edges: dict[str, set[str]], done: list[str]) -> None:
        stack = [(start, iter(sorted(edges.get(start, ()))))]
        seen.add(start)
        while stack:
            node, rest = stack[-1]
            following = next((other for other in rest if other not in seen), None)
            if following is None:
                done.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(sorted(edges.get(following, ())))))

    for name in sorted(graph):
        if name not in seen:
            visit(name, graph, order)
    reverse: dict[str, set[str]] = {name: set() for name in graph}
    for name, others in graph.items():
        for other in others:
            reverse[other].add(name)
    seen.clear()
    groups = []
    for name in reversed(order):
        if name not in seen:
            visit(name, reverse, group := [])
            groups.append(sorted(group))
    return sorted(group for group in groups if len(group) > 1)
