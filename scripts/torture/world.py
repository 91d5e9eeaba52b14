"""The small world in which the commands run: models and pairs that need no download, and what each command leaves."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from child import Ended, run


COMMON = (
    "root=outputs", "suite=synthetic", "dataset=synthetic", "dataset.n=32", "only='tfidf,pixels,vit_random'",
    "metric.mutual_knn.k=3", "statistics.permutations=9", "compute.device=cpu", "compute.workers=0",
    "compute.shard_rows=8",
)  # fmt: skip

SMALL = (
    "+models.small={modality: language, source: transformers, id: small, asset: {source: path, id: ../../small}}",
    "only=small", "corpus=captions", "corpus.context=32", "corpus.stride=16",
)  # fmt: skip

TWO = (
    "+models.small={modality: language, source: transformers, id: small, asset: {source: path, id: ../../small}}",
    "+models.other={modality: language, source: transformers, id: small, asset: {source: path, id: ../../small}, "
    "weight_noise: 0.1}", "only=[small,other]",
)  # fmt: skip

GALLERY = ("gallery.sizes=[12,24]", "gallery.queries=8", "gallery.share=null")

CAPTIONS = (
    "captions.model.name=small", "captions.model.id=small", "++captions.model.asset={source: path, id: ../../small}",
    "captions.words=[2]", "captions.batch=8",
)  # fmt: skip

IMPORT = (
    "store",
    "import",
    "mine.npz",
    "--name",
    "mine",
    "--modality",
    "brain",
    "--dataset",
    "scans",
    "--root",
    "outputs",
)


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: the command line.
        after: commands whose outputs it starts from.
        codes: exit statuses that are right when it is run again after a kill.
    """

    words: tuple[str, ...]
    after: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)


COMMANDS = {
    "extract": Command(("extract", *COMMON)),
    "extract again": Command(("extract", *COMMON, "overwrite=true"), ("extract",)),
    "competence": Command(("competence", *COMMON), ("extract",)),
    "align": Command(("align", *COMMON, "metric=[mutual_knn,cka]"), ("extract",)),
    "gallery": Command(("gallery", *COMMON, *GALLERY), ("extract",)),
    "translate": Command(("translate", *COMMON, "translation.draws=2"), ("extract", "align")),
    "extract two": Command(("extract", *COMMON, *TWO)),
    "units": Command(("units", *COMMON, *TWO, "units.permutations=3", "units.rotations=1"), ("extract two",)),
    "neighbours": Command(("neighbours", "a red square", *COMMON, "neighbours.k=3", "--html"), ("extract",)),
    "plot": Command(("plot", *COMMON, "figure=[matrix,layers]"), ("extract", "competence", "align")),
    "report": Command(("report", *COMMON), ("extract", "competence", "align", "plot")),
    "run": Command(("run", *COMMON, "figure=[matrix]")),
    "captions": Command(("captions", *COMMON, *CAPTIONS)),
    "corpus": Command(("competence", *COMMON, *SMALL), ("extract",)),
    "simulate": Command(("simulate", "gram", "root=outputs", "+experiment.gram.steps=5")),
    "reproduce": Command(("reproduce", "controls", *COMMON), ("extract",)),
    "store import": Command(IMPORT),
    "store export": Command(("store", "export", "pixels", "outputs/pixels.npz", "--root", "outputs"), ("extract",)),
    "store rm": Command(("store", "rm", "*", "--yes", "--root", "outputs"), ("extract",), (0, 1)),
}  # fmt: skip


@dataclass
class State:
    """What a command starts from, and what it leaves when nobody disturbs it.

    Attributes:
        before: folder with the outputs that it starts from.
        expected: every file that it leaves, by name; None for a file that differs from run to run.
        seconds: how long it takes.
        operations: how many file operations it makes.
    """

    before: Path
    expected: dict[str, bytes | None] = field(default_factory=dict)
    seconds: float = 0.0
    operations: int = 0


class World:
    """Folders of outputs before and after every command, made once; trials work on copies."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.states: dict[str, State] = {}
        self.built: dict[tuple[str, ...], Path] = {}
        rng = np.random.default_rng(0)
        ids = np.array([f"s{i}" for i in range(12)])
        (scratch / "trials").mkdir(), (scratch / "states").mkdir()
        np.savez(scratch / "mine.npz", ids=ids, layer=rng.normal(size=(12, 3)).astype(np.float32))

    def checkpoint(self) -> None:
        """A small causal language model on the disk, made in a child so that this process computes nothing."""
        child = os.fork()
        if child == 0:
            sys.path.insert(0, str(Path(__file__).parents[2]))
            from tests import small_models

            small_models.llama(self.scratch / "small", context=1024)
            os._exit(0)
        os.waitpid(child, 0)

    def prepare(self, names: Sequence[str]) -> dict[str, str]:
        """Runs each command twice undisturbed; returns those that fail by themselves, with what they said."""
        failed = {}
        for name in names:
            before = self.scratch / "states" / name.replace(" ", "-")
            if (said := self.build(before, COMMANDS[name].after)) is not None:
                failed[name] = said
                continue
            folders = [self.copy(before) for _ in range(2)]
            first, second = (run(COMMANDS[name].words, folder) for folder in folders)
            one, two = (contents(folder / "outputs") for folder in folders)
            for folder in folders:
                shutil.rmtree(folder)
            if first.code or second.code:
                failed[name] = (first.output or second.output)[-2000:]
                continue
            expected = {path: raw if two.get(path) == raw else None for path, raw in one.items()}
            self.states[name] = State(before, expected, second.seconds, second.operations)
        return failed

    def build(self, folder: Path, after: Sequence[str]) -> str | None:
        """Runs commands one after the other in a new folder; what the first that fails said, None if all end well.

        The folder begins as a copy of the longest beginning that was built before.
        """
        known = next(n for n in range(len(after), -1, -1) if not n or tuple(after[:n]) in self.built)
        if known:
            shutil.copytree(self.built[tuple(after[:known])], folder, symlinks=True)
        else:
            folder.mkdir(parents=True)
            shutil.copy(self.scratch / "mine.npz", folder)
        for name in after[known:]:
            ended = run(COMMANDS[name].words, folder)
            if ended.code:
                return f"{name}: {ended.output[-2000:]}"
        self.built[tuple(after)] = folder
        return None

    def copy(self, folder: Path) -> Path:
        """A copy of a state, for one trial."""
        target = self.scratch / "trials" / f"{random.randrange(1 << 48):012x}"
        shutil.copytree(folder, target, symlinks=True)
        return target


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder of outputs but the runs' own logs, without the times in manifests and pages."""
    found = {}
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        name = path.relative_to(root).as_posix()
        if name.startswith("runs/") or (path.is_dir() and not path.name.startswith(".")):
            continue
        if not path.exists():
            found[name] = b"broken link"
        else:
            found[name] = b"folder" if path.is_dir() else plain(path)
    return found


def plain(path: Path) -> bytes:
    """The bytes of a file, without what depends on time and machine in manifests and the times in pages."""
    raw = path.read_bytes()
    if path.suffix == ".html":
        return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d", b"(time)", raw)
    if path.name == "manifest.json":
        try:
            values = json.loads(raw)
            values.pop("provenance", None), values.pop("checksum", None)
            return json.dumps(values, sort_keys=True).encode()
        except (ValueError, AttributeError):
            return raw
    return raw


def differences(expected: dict[str, bytes | None], got: dict[str, bytes]) -> list[str]:
    """How what a command left differs from what it leaves undisturbed: missing, stray and changed files."""
    return [
        *(f"missing: {name}" for name in expected if name not in got),
        *(f"stray: {name}" for name in got if name not in expected),
        *(f"changed: {name}" for name, raw in expected.items() if raw is not None and name in got and got[name] != raw),
    ]


def last_line(ended: Ended) -> str:
    """The last thing that a command said."""
    lines = [line for line in ended.output.splitlines() if line.strip()]
    return lines[-1] if lines else f"(nothing; exit {ended.code})"
