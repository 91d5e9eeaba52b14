"""Full and read-only disks in every stage: one sentence, nothing lost, and the same bytes once there is room."""

from __future__ import annotations

import errno
import functools
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from child import Ended, Fault, run
from world import COMMANDS, World, contents, differences, last_line


SAID = {
    "full": "no space is left",
    "refused: full": "no space is left",
    "read-only": "read-only",
    "refused: read-only": "read-only",
    "refused: permission": "permission denied",
    "a file in the place of outputs": "is a file, where a folder is needed",
    "a broken link in the place of outputs": "which does not exist",
}
"""Kind of fault -> what has to be said of it."""

REFUSED = {
    "refused: full": errno.ENOSPC,
    "refused: read-only": errno.EROFS,
    "refused: permission": errno.EACCES,
}

ROOM = (0, 4, 16, 64, 256)
"""Kilobytes that are left on a full disk."""


@functools.cache
def can_mount() -> bool:
    """Whether small file systems can be mounted here, as root outside most containers; else refusals are imitated."""
    if shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "torture", folder], check=False, capture_output=True)
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return mounted.returncode == 0


def trials(world: World, most: int | None, seed: int) -> Iterator[tuple[str, str, int]]:
    """(command, kind of fault, seed): every command with every kind, or so many drawn at random."""
    kinds = [kind for kind in SAID if can_mount() or kind not in ("full", "read-only")]
    every = [(name, kind) for name in world.states for kind in kinds]
    every += [(name, "full") for name in world.states for _ in ROOM[1:] if can_mount()]
    if most is not None:
        every = random.Random(seed).sample(every, min(most, len(every)))
    for number, (name, kind) in enumerate(every):
        yield name, kind, seed * 1_000_003 + number


def trial(world: World, name: str, kind: str, seed: int) -> tuple[str, list[str]]:
    """One command on a faulty disk, then again on a good one; whether it met the fault, and what is wrong."""
    chance, state, command = random.Random(seed), world.states[name], COMMANDS[name]
    folder = world.copy(state.before)
    outputs, label = folder / "outputs", f"{name}, {kind}"
    mounted = kind in ("full", "read-only")
    try:
        if mounted:
            _mount(folder, outputs, None if kind == "read-only" else chance.choice(ROOM))
            ended = run(command.words, folder)
            _mend(outputs)
        elif kind in REFUSED:
            start = chance.randrange(max(1, state.operations))
            ended = run(command.words, folder, Fault(refuse_from=start, refuse_with=REFUSED[kind]))
        else:
            ended = _without_folder(command.words, folder, outputs, link=kind.startswith("a broken link"))
        wrong = _judged(label, kind, ended)
        again = run(command.words, folder)
        if again.code not in command.codes or again.traceback:
            wrong.append(f"{label}: afterwards: {last_line(again)}")
        else:
            wrong += [f"{label}: afterwards: {line}" for line in differences(state.expected, contents(outputs))]
        return "met" if ended.code else "had room", wrong
    finally:
        if mounted:
            subprocess.run(["umount", outputs], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _judged(label: str, kind: str, ended: Ended) -> list[str]:
    if ended.traceback or ended.timed_out:
        return [f"{label}: traceback: {last_line(ended)}"]
    if ended.code and SAID[kind] not in ended.output.replace("\n", " "):
        return [f"{label}: not said: {last_line(ended)}"]
    return []


def _mount(folder: Path, outputs: Path, room: int | None) -> None:
    """Puts the outputs onto a small file system of their own with `room` kilobytes left; None: a read-only one."""
    aside = folder / "aside"
    if outputs.is_dir():
        outputs.rename(aside)
    outputs.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "torture", outputs], check=True)
    if aside.is_dir():
        shutil.copytree(aside, outputs, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)
    state = os.statvfs(outputs)
    used = (state.f_blocks - state.f_bfree) * state.f_frsize // 1024
    limit = "ro" if room is None else f"size={max(4, used + room)}k"
    subprocess.run(["mount", "-o", f"remount,{limit}", outputs], check=True)


def _mend(outputs: Path) -> None:
    subprocess.run(["mount", "-o", "remount,rw,size=64m", outputs], check=True)


def _without_folder(words: tuple[str, ...], folder: Path, outputs: Path, *, link: bool) -> Ended:
    """Runs with a file or a broken link where the outputs should be, which then are put back."""
    aside = folder / "aside"
    if outputs.is_dir():
        outputs.rename(aside)
    outputs.symlink_to(folder / "nowhere") if link else outputs.touch()
    ended = run(words, folder)
    if outputs.is_symlink() or outputs.is_file():
        outputs.unlink()
    if aside.is_dir():
        aside.rename(outputs)
    return ended
