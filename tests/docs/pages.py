"""Fenced blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the word behind the fence, and its text."""

    language: str
    text: str

    @property
    def entries(self) -> list[str]:
        """What the table of `tests.docs.walk` has an entry for: each command, or the first line of another block."""
        if self.language != "bash":
            return [next(line.strip() for line in self.text.splitlines() if line.strip())]
        whole = self.text.replace("\\\n", " ")
        return [" ".join(words) for line in whole.splitlines() if (words := shlex.split(line, comments=True))]


def pages() -> list[str]:
    """Every page with documentation, as a path below the repository."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in paths]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))]


def indented_commands(page: str) -> list[str]:
    """Commands in indented blocks, which the walk would pass over."""
    outside = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return re.findall(r"^ {4,}(?:platorep|python|bash|sbatch) .*", outside, re.MULTILINE)


def inline_commands(page: str) -> list[str]:
    """Commands of platorep with words behind them, in a sentence; those with a placeholder in capitals are left out."""
    outside = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    spans = [" ".join(span.split()) for span in re.findall(r"`(platorep \w+ [^`]+)`", outside)]
    return [span for span in spans if not re.search(r"\b[A-Z]{2,}\b|…|\.\.\.", span)]
