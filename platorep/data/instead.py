"""Replaces pairs that are not available on this machine."""

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
"""The function that computes the hash in `AssetSpec.contents`, for sources that do not hash the files."""


def pairs_at_hand(
    spec: DatasetSpec,
    named: Callable[[str], DatasetSpec],
    *,
    stored: Callable[[DatasetSpec], bool],
    fetching: bool,
    progress: Report | None = None,
) -> DatasetSpec:
    """Returns the dataset, or its replacement `instead`; called once, before the dataset is used.

    If the run has stored samples of either, that one is returned, so that all stages use the same pairs. Otherwise the
    dataset is fetched. If no source is available, the reason and the replacement are logged.

    Args:
        spec: the requested dataset.
        named: returns the dataset of a name in the configuration.
        stored: returns whether samples of a dataset are in the store of the run.
        fetching: whether the command may fetch pairs; otherwise, only stored pairs are used.
        progress: called during downloads.

    Returns:
        `spec`, or the replacement with the n and the order of `spec`.
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
