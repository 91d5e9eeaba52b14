"""The order of work: which models are prepared together, so that what is prepared fits and little is read twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from platorep.core.features import Features


log = logging.getLogger(__name__)


class Block(NamedTuple):
    """Models whose prepared layers are in memory together, and the pairs of them that are scored then."""

    keeps: list[str]  # models that stay from the block before
    reads: list[str]  # models that are read for this block
    pairs: set[tuple[str, str]]


def products(
    pairs: Sequence[tuple[Features, Features]],
) -> Iterator[tuple[list[Features], list[Features]]]:
    """The pairs as x models times y models: x models that meet the same y models are scored in one product."""
    partners: dict[str, list[Features]] = {}
    for a, b in pairs:
        partners.setdefault(a.key, []).append(b)
    models = {a.key: a for a, _ in pairs}
    groups: dict[tuple[str, ...], list[Features]] = {}
    for key, others in partners.items():
        groups.setdefault(tuple(b.key for b in others), []).append(models[key])
    yield from ((x, partners[x[0].key]) for x in groups.values())


def plan_blocks(pairs: Sequence[tuple[str, str]], sizes: Mapping[str, int], budget: int) -> list[Block]:
    """Blocks that cover all pairs, each with prepared layers of at most `budget` bytes where single models allow it.

    If all models fit, there is one block and each is read once. Else the x models and the y models are cut into groups
    of half the budget each; the y groups are met forwards and backwards in turn, so that the last one met need not be
    read again.

    Args:
        pairs: (x model, y model), in the order of the models.
        sizes: bytes of a model's prepared layers.
        budget: bytes for all that is prepared.
    """
    if not pairs:
        return []
    xs, ys = list(dict.fromkeys(a for a, _ in pairs)), list(dict.fromkeys(b for _, b in pairs))
    if sum(sizes[key] for key in {*xs, *ys}) <= budget:
        return [Block([], list(dict.fromkeys([*xs, *ys])), set(pairs))]
    blocks: list[Block] = []
    held: list[str] = []
    across = list(_groups(ys, sizes, budget // 2))
    for down in _groups(xs, sizes, budget // 2):
        for group in across:
            here = {(a, b) for a, b in pairs if a in down and b in group}
            if here:
                need = [key for key in dict.fromkeys([*down, *group]) if any(key in pair for pair in here)]
                if (size := sum(sizes[key] for key in need)) > budget:
                    log.warning(
                        "prepared layers of %s take %.1f GB; the budget leaves %.1f GB",
                        ", ".join(need),
                        size / 1e9,
                        budget / 1e9,
                    )
                blocks.append(
                    Block([key for key in held if key in need], [key for key in need if key not in held], here)
                )
                held = need
        across.reverse()
    return blocks


def _groups(keys: Sequence[str], sizes: Mapping[str, int], budget: int) -> Iterator[list[str]]:
    """Consecutive groups of at most `budget` bytes, of one model at least."""
    group: list[str] = []
    for key in keys:
        if group and sum(sizes[member] for member in group) + sizes[key] > budget:
            yield group
            group = []
        group.append(key)
    if group:
        yield group
