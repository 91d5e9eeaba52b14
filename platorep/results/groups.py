"""How the models of a figure are grouped: families, and the degraded versions of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from platorep.results.facts import Dose
from platorep.results.labels import distinct, dose_label


def vision_groups(pairs: pd.DataFrame, degraded: Mapping[str, Dose]) -> dict[str, list[str]]:
    """Vision models by panel title: families, ladders of degraded models with their base, lone models together.

    Args:
        pairs: rows of `views.cross_modal`.
        degraded: doses of the degraded models.
    """
    models = pairs.drop_duplicates("vision").set_index("vision").vision_family
    families: dict[str, list[str]] = {}
    ladders: dict[str, list[str]] = {}
    for model, family in models.items():
        if model in degraded:
            dose = degraded[model]
            ladders.setdefault(f"{dose.base} by {dose.dial.replace('_', ' ')}", []).append(model)
        else:
            families.setdefault(family or model, []).append(model)
    lone = {family: families.pop(family) for family in [f for f, members in families.items() if len(members) == 1]}
    bases = {degraded[members[0]].base for members in ladders.values()}
    # a base stands in the panel of its ladder
    lone = {family: members for family, members in lone.items() if members[0] not in bases}
    for title, members in ladders.items():
        base, dial = degraded[members[0]].base, degraded[members[0]].dial
        members.sort(key=lambda m: degraded[m].value, reverse=dial == "weight_noise")  # weakest first
        families[title] = [*members, base] if base in models.index else members
    return families | (
        lone if len(lone) < 2 else {"other vision models": [m for members in lone.values() for m in members]}
    )


def member_labels(members: Sequence[str], degraded: Mapping[str, Dose]) -> list[str]:
    """Labels within a panel: doses in a ladder, otherwise the words in which the family's models differ."""
    if any(m in degraded for m in members):
        return [dose_label(degraded[m]) if m in degraded else "intact" for m in members]
    return distinct(members)


def lineages(models: pd.DataFrame) -> pd.Series:
    """The family of every model for tests that take families as independent.

    A degraded version belongs to the family of the model it was made from, regardless of its label. A model without a
    family is a family by itself.

    Args:
        models: rows of `views.models`, by name.
    """
    families = models.family.where(models.family != "", models.index.to_series())
    base = models.base.where(models.dial != "", "")
    of_base = base.map(families).fillna(models.family.where(models.family != "", base))
    return families.where(base == "", of_base)
