"""The paper's experiments: one configuration each, the stages it needs, its figure, its data, and published values beside."""

from __future__ import annotations

from platorep.reproduce.experiment import reproduce


__all__ = ["reproduce"]
