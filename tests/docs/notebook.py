"""Runs the notebook of docs/examples. `python -m tests.docs.notebook` stores what its cells print and draw."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient


NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "first_look.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """The notebook after a run in a new kernel, with `folder` as its working directory.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    client = NotebookClient(notebook, timeout=300, coalesce_streams=True, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "PATH": beside_python})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times
    return notebook


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        nbformat.write(executed(Path(scratch)), NOTEBOOK)
