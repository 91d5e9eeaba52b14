"""Simulates the rejection rates of tests and the coverage of intervals; the results are in docs/statistics.md.

    python scripts/bench/statistics --part tests

Each part takes a few minutes on 2 cores, prints its table and replaces the block of that name in docs/statistics.md.
Every repetition has a seed of its own, so results do not depend on the number of workers.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd


sys.path.append(str(Path(__file__).parents[3]))  # the features that the tests draw

import brains
import intervals
import maps
import nulls
import speed
import studies
import units
from runs import coverage_table, errors_table


DOCUMENT = Path(__file__).parents[3] / "docs" / "statistics.md"


class Part(NamedTuple):
    """One table.

    Attributes:
        table: computes the table from a number of repetitions and a number of workers.
        repetitions: the default number; 0 if nothing is repeated.
        of: whether the number applies to the whole table or to each of its rows.
    """

    table: Callable[[int, int], pd.DataFrame]
    repetitions: int = 400
    of: str = " per row"


PARTS = {
    "tests": Part(lambda *run: errors_table(nulls.test_errors, *run), 1000, ""),
    "ties": Part(nulls.ties_table, 2000),
    "trends": Part(lambda *run: errors_table(nulls.trend_errors, *run), 2000, ""),
    "neighbours": Part(lambda *run: coverage_table(intervals.neighbour_intervals, intervals.WORLDS, *run)),
    "galleries": Part(intervals.galleries_table),
    "kernels": Part(lambda *run: coverage_table(intervals.kernel_intervals, intervals.WORLDS, *run)),
    "families": Part(intervals.families_table),
    "maps": Part(maps.maps_table),
    "splits": Part(maps.splits_table),
    "broken": Part(maps.broken_table),
    "units": Part(lambda *run: errors_table(units.unit_errors, *run), 1000, ""),
    "unit_shares": Part(lambda *run: coverage_table(units.share_interval, units.SHARE_WORLDS, *run)),
    "exponents": Part(units.exponents_table),
    "brains": Part(brains.brains_table),
    "encoding": Part(brains.encoding_coverage),
    "studies": Part(lambda *run: errors_table(studies.study_errors, *run), 400, ""),
    "study_intervals": Part(studies.intervals_table, 200),
    "speed": Part(lambda *_: speed.speed_table(), 0),
}


def markdown(table: pd.DataFrame) -> str:
    """A table of strings in Markdown."""
    lines = [
        " | ".join(map(str, row)) for row in (table.columns, ["---"] * table.shape[1], *table.itertuples(index=False))
    ]
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    """Makes one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", required=True, choices=list(PARTS))
    parser.add_argument("--repetitions", type=int, help="by default 400 to 2,000, as the document says")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--dry", action="store_true", help="print only")
    given = parser.parse_args()
    part = PARTS[given.part]
    repetitions = given.repetitions or part.repetitions
    text = markdown(part.table(repetitions, given.workers))
    if repetitions:
        text += f"\n\n{repetitions} repetitions{part.of}."
    print(text)
    if not given.dry:
        block = re.compile(rf"(<!-- {given.part} -->).*?(<!-- end -->)", re.DOTALL)
        DOCUMENT.write_text(block.sub(lambda place: f"{place[1]}\n\n{text}\n\n{place[2]}", DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
