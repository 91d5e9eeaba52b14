"""Which pairs a run takes where those it asks for cannot be had on this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable

from platorep.assets import content_hash, fetch
from platorep.core.errors import AssetError
from platorep.core.specs import DatasetSpec
from platorep.data import stamps
from platorep.data.pair import Report


log = logging.getLogger(__name__)

DIGESTS = {"stamps": stamps.digest}
"""By source, the hash that `AssetSpec.contents` states, where it is not that of the files."""


def pairs_at_hand(
    spec: DatasetSpec,
    named: Callable[[str], DatasetSpec],
    *,
    stored: Callable[[DatasetSpec], bool],
    fetching: bool,
    progress: Report | None = None,
) -> DatasetSpec:
    """The dataset itself, or the one that its `instead` names: settled once, before anything is made of it.

    What a run has stored decides first, so that every stage of it takes the same pairs. Otherwise the dataset is
    fetched, and where every way to it is closed, one line says why and what is taken.

    Args:
        spec: the dataset that is asked for.
        named: the dataset of a name, from the configuration.
        stored: whether samples of a dataset are in the run's store.
        fetching: whether the command may fetch pairs; one that only reads takes what is stored.
        progress: told of downloads.

    Returns:
        `spec`, or the replacement with the n and the order that `spec` asks for.
    """
    if spec.instead is None or stored(spec):
        return spec
    other = named(spec.instead)
    other = other.replace(n=spec.n, order_seed=spec.order_seed)
    if not fetching:
        return other if stored(other) else spec
    try:
        for asset in spec.assets:
            fetch(asset, progress=progress, digest=DIGESTS.get(spec.source, content_hash))
    except AssetError as error:
        why = str(error).partition("\n")[0]
        log.warning("%s is taken instead of %s (dataset.instead=null forbids it): %s", other.name, spec.name, why)
        return other
    return spec
