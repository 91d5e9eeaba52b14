"""The remaining time of a run of several stages, from rough expectations that the run itself corrects."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Stage:
    """Expected seconds of the parts, and the work done so far."""

    expected: dict[str, float]
    done: float = 0.0  # expected seconds of the finished parts, and of the share of the present one
    spent: float = 0.0  # measured seconds of these

    @property
    def left(self) -> float:
        return max(sum(self.expected.values()) - self.done, 0.0)


class Remaining:
    """Estimates the remaining seconds of a run.

    Every stage has parts with expected seconds, of which only ratios matter: a stage that has begun is scaled by the
    time that it took so far, and a later one by that of the whole run. With D expected seconds done in S measured ones,
    and L expected seconds left, the estimate is the sum over stages of L S / D.

    Args:
        expected: stage -> part -> expected seconds.
        clock: seconds that only grow.
    """

    def __init__(
        self, expected: Mapping[str, Mapping[str, float]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stages = {stage: _Stage(dict(parts)) for stage, parts in expected.items()}
        self._clock = clock

    def expect(self, stage: str, parts: Mapping[str, float]) -> None:
        """Replaces the expected seconds of a stage that has not begun."""
        self._stages[stage] = _Stage(dict(parts))

    @contextmanager
    def part(self, stage: str, name: str) -> Iterator[Callable[[float], None]]:
        """One part of a stage, while it lasts; yields the function that takes its finished share, in [0, 1]."""
        at = self._stages.setdefault(stage, _Stage({}))
        expected = at.expected.get(name, 0.0)
        done, spent, start = at.done, at.spent, self._clock()

        def report(share: float) -> None:
            if expected:  # a part without an expectation says nothing about the speed of the rest
                at.done, at.spent = done + share * expected, spent + self._clock() - start

        try:
            yield report
        finally:
            report(1.0)

    def seconds(self) -> float | None:
        """The estimate; None until a part with an expectation has been done."""
        done, spent = (sum(getattr(stage, name) for stage in self._stages.values()) for name in ("done", "spent"))
        if not done:
            return None
        return sum(
            stage.left * (stage.spent / stage.done if stage.done else spent / done) for stage in self._stages.values()
        )
