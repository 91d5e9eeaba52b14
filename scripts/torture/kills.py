"""Kills at any moment: every restart ends with the bytes of a run that was left alone, and with no stray file."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

from child import Fault, run
from world import COMMANDS, World, contents, differences, last_line


MOST = 3
"""Kills in a row at most, before a command is left to end."""


def trials(world: World, kills: int, seed: int) -> Iterator[tuple[str, int]]:
    """As many (command, seed) as give about so many kills, over all commands in turn."""
    names = list(world.states)
    for number in range(max(len(names), round(kills / (0.8 * (1 + MOST) / 2)))):
        yield names[number % len(names)], seed * 1_000_003 + number


def trial(world: World, name: str, seed: int) -> tuple[int, list[str]]:
    """One command, killed one to three times, then left to end: the number of kills, and what is wrong in the end."""
    chance, state, command = random.Random(seed), world.states[name], COMMANDS[name]
    folder = world.copy(state.before)
    killed = 0
    try:
        for _ in range(chance.randint(1, MOST)):
            if chance.random() < 0.75 and state.operations:
                fault = Fault(kill_at=chance.randrange(state.operations))
            else:
                fault = Fault(kill_after=chance.uniform(0, state.seconds))
            ended = run(command.words, folder, fault)
            killed += ended.code == -9
            if ended.code != -9 and (ended.traceback or ended.code not in command.codes):
                return killed, [f"{name}: {last_line(ended)}"]
        ended = run(command.words, folder)
        if ended.traceback or ended.code not in command.codes:
            return killed, [f"{name}: exit {ended.code} after {killed} kills: {last_line(ended)}"]
        return killed, [f"{name}: {line}" for line in differences(state.expected, contents(folder / "outputs"))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
