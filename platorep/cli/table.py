"""`platorep table`: the scores of every run as one table, printed or written."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path

import typer


class Format(StrEnum):
    """Formats of a table."""

    csv = "csv"
    md = "md"
    latex = "latex"


def table(
    root: Path = typer.Option(Path("outputs"), "--root", help="The folder of all results."),
    metric: str = typer.Option(None, help="A metric's name or full id."),
    protocol: str = typer.Option(None, help="How layers were chosen: max, heldout, last, depth:0.5."),
    dataset: str = typer.Option(None, help="A dataset's name."),
    format: Format = typer.Option(Format.md, "--format", help="csv has all columns; md and latex the main ones."),
    out: Path = typer.Option(None, "--out", help="Write to this file instead of the terminal."),
) -> None:
    """Print the chosen layers' scores of every run, with nulls, intervals and the runs' overrides."""
    from platorep.core.errors import PlatorepError
    from platorep.core.files import write_atomically
    from platorep.results.outputs import Outputs
    from platorep.results.text import scores_text

    try:
        scores = Outputs(root).scores(metric=metric, protocol=protocol, dataset=dataset)
    except PlatorepError as error:
        sys.exit(f"platorep table: {error}")
    text = scores_text(scores, format.value)
    if out is None:
        sys.stdout.write(text)
    else:
        write_atomically(out, lambda path: path.write_text(text, encoding="utf-8"))
