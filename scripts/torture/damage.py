"""Damage of every kind to every kind of file: it is found and named, or has no effect on any output."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from child import run
from world import COMMANDS, World, contents, differences, last_line


READERS = {
    "features": ("run", "gallery", "report"),
    "alignment": ("run", "report"),
    "competence": ("corpus", "run", "report"),
    "figures": ("report", "run", "gallery", "translate", "units", "report"),
    "gallery": ("gallery",),
    "translation": ("translate",),
    "units": ("units",),
    "neighbours": ("neighbours",),
    "report": ("report",),
    "captions": ("captions",),
    "theory": ("simulate",),
}
"""Folder -> the commands that read what is in it, in the order in which they run on damaged outputs."""

BUILD = (
    "captions", "simulate", "extract", "extract two", "corpus", "run", "gallery", "translate", "units", "neighbours",
    "report",
)  # fmt: skip
"""What makes the outputs that are damaged: run again, each of these commands leaves them as they are."""


def _flip(place: Callable[[int], int]) -> Callable[[bytes, random.Random], bytes]:
    def change(raw: bytes, chance: random.Random) -> bytes:
        at = place(len(raw))
        return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]

    return change


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "first byte flipped": _flip(lambda n: 0),
    "byte in the head flipped": _flip(lambda n: min(n - 1, 12)),
    "byte in the middle flipped": _flip(lambda n: n // 2),
    "byte in the tail flipped": _flip(lambda n: max(0, n - 12)),
    "last byte flipped": _flip(lambda n: n - 1),
    "random byte flipped": lambda raw, chance: _flip(lambda n: chance.randrange(n))(raw, chance),
    "emptied": lambda raw, chance: b"",
    "cut in half": lambda raw, chance: raw[: len(raw) // 2],
    "last byte lost": lambda raw, chance: raw[:-1],
    "a byte added": lambda raw, chance: raw + b"\0",
    "zeros": lambda raw, chance: bytes(len(raw)),
    "a block of zeros": lambda raw, chance: raw[: len(raw) // 3] + bytes(64) + raw[len(raw) // 3 + 64 :],
    "twice": lambda raw, chance: raw + raw,
    "noise": lambda raw, chance: chance.randbytes(len(raw)),
}

PLACES = (
    "deleted",
    "a folder in its place",
    "a broken link in its place",
    "swapped with another",
    "copied from another",
)

JSONS: dict[str, Callable[[dict, random.Random], object]] = {
    "a list": lambda value, chance: [value],
    "null": lambda value, chance: None,
    "an empty object": lambda value, chance: {},
    "a field lost": lambda value, chance: {k: v for k, v in value.items() if k != chance.choice(list(value))},
    "a field of null": lambda value, chance: {**value, chance.choice(list(value)): None},
    "a field of another type": lambda value, chance: {**value, chance.choice(list(value)): [3]},
    "a list reversed": lambda value, chance: _mapped(value, lambda v: v[::-1] if isinstance(v, list) else v),
    "a list shortened": lambda value, chance: _mapped(value, lambda v: v[:-1] if isinstance(v, list) else v),
    "numbers raised": lambda value, chance: _mapped(value, lambda v: v + 1 if type(v) in (int, float) else v),
    "texts changed": lambda value, chance: _mapped(value, lambda v: v + "x" if isinstance(v, str) else v),
}


def _mapped(value: dict, change: Callable[[object], object]) -> dict:
    return {name: _mapped(v, change) if isinstance(v, dict) else change(v) for name, v in value.items()}


def kind_of(name: str) -> str:
    """What kind of file it is, by its place and its ending: each kind is damaged in every way."""
    path = Path(name)
    folder = path.parts[0]
    if path.suffix == ".json" or folder == "features":
        return f"{folder}: {path.name.split('-')[0] if path.suffix == '.safetensors' else path.name}"
    samples = " per sample" if path.name.endswith(".samples.parquet") else ""
    deeper = f"/{path.parts[-2]}" if path.parts[-2] in ("selected", "parts", "pictures") else ""
    return f"{folder}{deeper}: {path.suffix}{samples}"


def prepare(world: World) -> tuple[Path, dict[str, bytes]]:
    """The outputs that are damaged, and their contents.

    Raises:
        RuntimeError: a command fails, or changes what it made when it is run again.
    """
    before = world.scratch / "states" / "all"
    if (failed := world.build(before, BUILD)) is not None:
        raise RuntimeError(f"the outputs that are to be damaged cannot be made: {failed}")
    expected = contents(before / "outputs")
    folder = world.copy(before)
    for reader in dict.fromkeys(reader for readers in READERS.values() for reader in readers):
        ended = run(COMMANDS[reader].words, folder)
        if ended.code:
            raise RuntimeError(f"{reader} fails on undamaged outputs: {last_line(ended)}")
        if changed := differences(dict(expected), contents(folder / "outputs")):
            raise RuntimeError(f"{reader} changes undamaged outputs: {', '.join(changed)}")
    shutil.rmtree(folder)
    return before, expected


def kinds(expected: dict[str, bytes]) -> dict[str, list[str]]:
    """Kind of file -> names of such files."""
    found: dict[str, list[str]] = {}
    for name in expected:
        found.setdefault(kind_of(name), []).append(name)
    return found


def trials(expected: dict[str, bytes], most: int | None, seed: int) -> Iterator[tuple[str, str, int]]:
    """(kind of file, kind of damage, seed): all of them, or so many drawn at random."""
    every = [
        (kind, damage)
        for kind in kinds(expected)
        for damage in (*BYTES, *PLACES, *(JSONS if kind.endswith(".json") else ()))
    ]
    if most is not None:
        every = random.Random(seed).sample(every, min(most, len(every)))
    for number, (kind, damage) in enumerate(every):
        yield kind, damage, seed * 1_000_003 + number


def apply(root: Path, names: list[str], damage: str, chance: random.Random) -> list[Path]:
    """Damages one of the files, two where two are swapped; returns them."""
    path = root / chance.choice(names)
    raw = path.read_bytes()
    if damage in BYTES:
        path.write_bytes(BYTES[damage](raw, chance))
    elif damage in JSONS:
        path.write_text(json.dumps(JSONS[damage](json.loads(raw), chance)))
    elif damage in ("swapped with another", "copied from another"):
        others = [other for other in names if root / other != path] or names
        other = root / chance.choice(others)
        path.write_bytes(other.read_bytes())
        if damage.startswith("swapped"):
            other.write_bytes(raw)
            return [path, other]
    else:
        path.unlink()
        if damage.startswith("a folder"):
            path.mkdir()
        elif damage.startswith("a broken link"):
            path.symlink_to(path.with_name("nowhere"))
    return [path]


def trial(
    world: World, before: Path, expected: dict[str, bytes], kind: str, damage: str, seed: int
) -> tuple[str, list[str]]:
    """Damages a file and runs the commands that read; whether it was named, mended or had no effect, and what is wrong.

    Right is a command that ends with an error that names the file (or its folder), without a traceback; or one that
    ends as if nothing had happened. Wrong is an output that differs from the undisturbed one's, whatever was said.
    """
    chance, folder = random.Random(seed), world.copy(before)
    root, label = folder / "outputs", f"{kind}, {damage}"
    try:
        hurt = apply(root, kinds(expected)[kind], damage, chance)
        names = {path.relative_to(root).as_posix() for path in hurt}
        said, wrong = "", []
        for reader in READERS[kind.split(":")[0].split("/")[0]]:
            ended = run(COMMANDS[reader].words, folder)
            said += ended.output
            if ended.traceback or ended.timed_out:
                wrong.append(f"{label}: {reader}: traceback: {last_line(ended)}")
            elif ended.code and not _named(ended.output, hurt):
                wrong.append(f"{label}: {reader}: stops without naming the file: {last_line(ended)}")
        got = contents(root)
        wrong += [
            f"{label}: another {name}"
            for name, raw in expected.items()
            if name not in names and name in got and got[name] != raw
        ]
        if _named(said, hurt):
            return "named", wrong
        return "mended" if all(got.get(name) == expected[name] for name in names) else "without effect", wrong
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _named(said: str, hurt: list[Path]) -> bool:
    """Whether a file, or the folder that it makes up with others, is named in what was said."""
    flat = said.replace("\n", "")
    return any(path.name in flat or path.parent.name in flat for path in hurt)
