"""Kills, damage, faulty disks and wrong words, in their thousands; prints one table of what became of them.

    bash scripts/torture.sh                        # a thousand kills, all damage, every disk; an hour on two cores
    bash scripts/torture.sh --sample               # a few of each, in two minutes
    bash scripts/torture.sh --only damage --seed 3

It uses the command line and the names of files in the outputs, and nothing else of the program.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import child
import damage
import disks
import fuzz
import kills
from world import COMMANDS, World


SECTIONS = ("kills", "damage", "disks", "lines", "metadata")

FULL = {"kills": 1000, "damage": None, "disks": None, "lines": 500, "metadata": 200}
"""How many of each; None for every one that there is."""

SAMPLE = {"kills": 24, "damage": 16, "disks": 8, "lines": 16, "metadata": 8}

QUICK = ("extract", "extract again", "competence", "align", "gallery", "store import", "store rm")
"""Commands of the sample."""


def spread(
    trials: Iterable[Any], trial: Callable[..., tuple[Any, list[str]]], jobs: int, folder: Path
) -> list[tuple[Any, list[str]]]:
    """Runs the trials in so many forked processes, each its share of them; the results in order."""
    trials = list(trials)
    workers = []
    for job in range(jobs):
        worker = os.fork()
        if worker == 0:
            code = 1
            try:
                with open(folder / f"results-{job}.jsonl", "w", encoding="utf-8") as file:
                    for number in range(job, len(trials), jobs):
                        file.write(json.dumps([number, *trial(*trials[number])]) + "\n")
                        file.flush()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        workers.append(worker)
    ended = [os.waitpid(worker, 0)[1] for worker in workers]
    results = {}
    for job in range(jobs):
        path = folder / f"results-{job}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines():
            number, word, wrong = json.loads(line)
            results[number] = (word, wrong)
        path.unlink()
    if any(ended) or len(results) < len(trials):
        raise RuntimeError(
            f"{len(trials) - len(results)} trials were not done: a worker of the torture failed, see above"
        )
    return [results[number] for number in sorted(results)]


def section(name: str, world: World, most: int | None, seed: int, jobs: int) -> tuple[str, list[str]]:
    """Runs one section; what became of its trials, and all that is wrong."""
    scratch = world.scratch
    if name == "kills":
        done = spread(kills.trials(world, most or 0, seed), lambda *t: kills.trial(world, *t), jobs, scratch)
        words = f"{sum(count for count, _ in done)} kills in {len(done)} trials of {len(world.states)} commands"
    elif name == "damage":
        before, expected = damage.prepare(world)
        planned = list(damage.trials(expected, most, seed))
        done = spread(planned, lambda *t: damage.trial(world, before, expected, *t), jobs, scratch)
        words = f"{len({trial[:2] for trial in planned})} kinds: {counted(done)}"
    elif name == "disks":
        done = spread(disks.trials(world, most, seed), lambda *t: disks.trial(world, *t), jobs, scratch)
        words = f"{len(done)} faults: {counted(done)}"
    elif name == "lines":
        before = world.states["align"].before
        seeds = [(seed * 1_000_003 + i,) for i in range(most or 0)]
        done = spread(seeds, lambda s: fuzz.line_trial(world, before, s), jobs, scratch)
        words = f"{len(done)} command lines: {counted(done)}"
    else:
        seeds = [(seed * 1_000_003 + i,) for i in range(most or 0)]
        done = spread(seeds, lambda s: fuzz.metadata_trial(world, s), jobs, scratch)
        words = f"{len(done)} metadata files: {counted(done)}"
    return words, [line for _, wrong in done for line in wrong]


def counted(done: list[tuple[str, list[str]]]) -> str:
    """How many trials ended in which way."""
    return ", ".join(f"{count} {word}" for word, count in sorted(collections.Counter(word for word, _ in done).items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="a few of each")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="this section alone; may be repeated")
    parser.add_argument("--number", type=int, help="of trials in each section, in place of the usual")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--shown", type=int, default=20, help="lines of what is wrong that are printed for each section"
    )
    args = parser.parse_args()
    sizes, names = (SAMPLE, QUICK) if args.sample else (FULL, tuple(COMMANDS))
    start = time.monotonic()
    child.preload("platorep")
    scratch = Path(tempfile.mkdtemp(prefix="torture-"))
    rows, failed = [], False
    try:
        world = World(scratch)
        world.checkpoint()
        for name, said in world.prepare(names).items():
            rows.append(("prepare", f"{name} fails undisturbed", 1))
            print(f"{name} fails undisturbed:\n{said}", file=sys.stderr)
            failed = True
        for name in args.only or SECTIONS:
            begun = time.monotonic()
            words, wrong = section(name, world, args.number or sizes[name], args.seed, args.jobs)
            rows.append((name, f"{words} ({time.monotonic() - begun:.0f} s)", len(wrong)))
            for line in wrong[: args.shown]:
                print(f"{name}: {line}", file=sys.stderr)
            failed |= bool(wrong)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(scratch)
    width = max(len(words) for _, words, _ in rows)
    print(f"\n{'section':10} {'what':{width}} wrong")
    for name, words, wrong in rows:
        print(f"{name:10} {words:{width}} {wrong:5}")
    print(f"{time.monotonic() - start:.0f} s, seed {args.seed}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
