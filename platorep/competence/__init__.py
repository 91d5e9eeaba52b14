"""How good a model is at what it was made for, measured apart from alignment."""

from platorep.competence.extracted import from_features
from platorep.competence.scores import merged, published, read_scores


__all__ = ["from_features", "merged", "published", "read_scores"]
