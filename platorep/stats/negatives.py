"""Is an item's own caption nearer to its picture than a wrong one, by common neighbours?"""

from __future__ import annotations

import numpy as np

from platorep.core.errors import FeatureError


def nearer(true: np.ndarray, wrong: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """1 where the true caption has more neighbours in common with the picture than the wrong one, 1/2 for as many.

    Neighbours of all three are items other than the own one, so that the captions are judged by what they lie near to.

    Args:
        true: neighbours of every item's caption, shape (n, k), integers.
        wrong: neighbours of its wrong caption among the true captions of other items, shape (n, k).
        picture: neighbours of its picture, shape (n, k').

    Returns:
        Shape (n,), float64. The mean is 1/2 for a wrong caption that is as near as the true one, or unrelated pictures.

    Raises:
        FeatureError: different numbers of items.

    Cost: n k k'.
    """
    if not len(true) == len(wrong) == len(picture):
        raise FeatureError(f"items differ: {len(true)} captions, {len(wrong)} wrong ones, {len(picture)} pictures.")
    a, b = ((side[:, :, None] == picture[:, None, :]).any(axis=2).sum(axis=1) for side in (true, wrong))
    return (a > b) + 0.5 * (a == b)


def relabelled_nearer(true: np.ndarray, wrong: np.ndarray, picture: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The mean of `nearer` when the pictures are given to other items, shape (K,).

    Args:
        true: as in `nearer`.
        wrong: as there.
        picture: as there.
        orders: permutations, shape (K, n): item i takes the picture of item order[i].
    """
    means = np.empty(len(orders))
    for number, order in enumerate(orders):
        names = np.empty(len(order), dtype=picture.dtype)
        names[order] = np.arange(len(order))
        means[number] = nearer(true, wrong, names[picture[order]]).mean()
    return means
