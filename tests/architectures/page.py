"""docs/models.md: one section a kind of model, each between two marks and written by scripts/check_architectures.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def cell(value: Any) -> str:
    """A value as a table shows it: yes and no, numbers to one digit, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0e}" if value else "0"
    return " ".join(str(value).split()).replace("|", "\\|")


def table(columns: Mapping[str, str], rows: Sequence[Any]) -> str:
    """Rows as a Markdown table.

    Args:
        columns: headings by attribute of a row.
        rows: what was checked.
    """
    lines = [f"| {' | '.join(columns.values())} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell(getattr(row, name)) for name in columns)} |" for row in rows]
    return "\n".join(lines)


def summary(rows: Sequence[Any]) -> str:
    """How many rows have which result, up to the colon or semicolon behind it."""
    counts = Counter(row.result.partition(":")[0].partition(";")[0] for row in rows)
    return ", ".join(f"{count} {result}" for result, count in counts.most_common())


def write_section(kind: str, text: str, page: Path = PAGE) -> None:
    """Replaces what is between a section's marks.

    Raises:
        ValueError: the page has no such section.
    """
    begin, end = f"<!-- {kind}: written by scripts/check_architectures.py -->", f"<!-- {kind}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no section between {begin!r} and {end!r}; put these two lines where it belongs.")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
