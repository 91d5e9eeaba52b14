"""Runs every architecture of a kind, small and with random weights, through our encoders, and writes docs/models.md.

    python scripts/check_architectures.py language                       # all, and the section of the page
    python scripts/check_architectures.py language decoder/llama encoder/bert     # some, to the terminal

Run it when transformers, timm or open_clip is updated, and when an encoder or the way models are loaded changes;
language takes about ten minutes on one core. Nothing is fetched. Ends with 1 if anything is wrong.

A kind is a module of tests/architectures that has COLUMNS (headings by attribute of a row), VERSIONS (the packages that
the results depend on) and `rows(wanted)`, which yields rows with `architecture`, `kind` and `result`; the page needs a
pair of marks for it (see tests/architectures/page.py).
"""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from importlib.metadata import version
from pathlib import Path


ROOT = Path(__file__).parents[1]
KINDS = ("language", "timm", "open_clip", "vision")


def main(kind: str, *wanted: str) -> int:
    sys.path.insert(0, str(ROOT))
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    from tests.architectures.page import summary, table, write_section

    checks = importlib.import_module(f"tests.architectures.{kind}")
    rows = []
    for row in checks.rows(wanted):
        rows.append(row)
        print(f"{row.kind}/{row.architecture}: {row.result}", flush=True)
    if not wanted:
        packages = ", ".join(f"{name} {version(name)}" for name in checks.VERSIONS)
        write_section(kind, f"{len(rows)} checked with {packages}: {summary(rows)}.\n\n{table(checks.COLUMNS, rows)}")
    return int(any(row.result.startswith("wrong") for row in rows))


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in KINDS:
        sys.exit(f"usage: {sys.argv[0]} {'|'.join(KINDS)} [NAME ...]")
    sys.exit(main(*sys.argv[1:]))
