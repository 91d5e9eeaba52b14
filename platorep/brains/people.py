"""The people in a model that is a matrix: one matrix per person, with sessions as repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import StoreError
from platorep.core.features import matrices
from platorep.core.stored import FeatureSet


@dataclass(frozen=True)
class People:
    """One region of a brain, person by person.

    Attributes:
        names: names of the P people.
        sessions: dissimilarities of each person's sessions, shape (S, n, n) float64.
    """

    names: Sequence[str]
    sessions: Sequence[np.ndarray]

    @property
    def means(self) -> np.ndarray:
        """Each person's mean over sessions, shape (P, n, n)."""
        return np.stack([sessions.mean(axis=0) for sessions in self.sessions])


def people_of(brain: FeatureSet, layer: int) -> People:
    """The people of one region. A repetition named "PERSON/SESSION" is a session of PERSON.

    Raises:
        StoreError: the manifest does not name the repetitions.
    """
    names, values = list(brain.scalars.get("repetitions", [])), matrices(brain, layer).double().numpy()
    if len(names) != len(values):
        raise StoreError(
            f"{brain.name} has {len(values)} matrices and {len(names)} names of repetitions. Import it again."
        )
    persons = [name.partition("/")[0] for name in names]
    distinct = list(dict.fromkeys(persons))
    return People(distinct, [values[[i for i, name in enumerate(persons) if name == person]] for person in distinct])
