"""Writes the pages of the Python interface from its docstrings: python scripts/api_docs.py [FOLDER].

FOLDER is build/api by default.
The pages are HTML files that need no server and no network; start with FOLDER/index.html.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pdoc

from platorep.metrics.registry import METRICS


MODULES = (
    "platorep",
    "platorep.results.outputs",
    "platorep.results.tables",
    "platorep.figures",
    "platorep.metrics.base",
    "platorep.metrics.registry",
    *dict.fromkeys(place.partition(":")[0] for place in METRICS.values()),
    "platorep.stats.nulls",
    "platorep.stats.intervals",
    "platorep.stats.selection",
    "platorep.stats.calibration",
    "platorep.stats.trends",
    "platorep.stats.hubness",
    "platorep.core.errors",
)
"""Modules that users import, the most used first."""


def write_pages(folder: Path, modules: Sequence[str] = MODULES) -> None:
    """Writes one page per module, an index and a search index.

    Raises:
        UserWarning: pdoc cannot read a name; it would be missing from the page.
    """
    for name in modules:
        module = import_module(name)
        for public in getattr(module, "__all__", ()):
            setattr(module, public, getattr(module, public))  # pdoc does not see names that are imported on first use
    pdoc.render.configure(docformat="google", show_source=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # types of inherited constructors: their names are those of another module, and pdoc shows them as written
        warnings.filterwarnings("ignore", message="Error parsing type annotation")
        pdoc.pdoc(*modules, output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/api")
    write_pages(target)
    print(target / "index.html")
