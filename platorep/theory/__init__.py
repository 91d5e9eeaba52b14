"""Worlds whose answer is known: the paper's theory run, and the instruments tested where the truth is given."""

from platorep.theory.experiments import EXPERIMENTS, known, run


__all__ = ["EXPERIMENTS", "known", "run"]
