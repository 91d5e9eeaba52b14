"""Synthetic worlds with a known answer: simulations of the paper's theory, and tests of the metrics and statistics."""

from platorep.theory.experiments import EXPERIMENTS, known, run


__all__ = ["EXPERIMENTS", "known", "run"]
