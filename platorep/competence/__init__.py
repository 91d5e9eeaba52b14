"""Competence of models at their own tasks, measured independently of alignment."""

from platorep.competence.extracted import from_features
from platorep.competence.scores import merged, published, read_scores


__all__ = ["from_features", "merged", "published", "read_scores"]
