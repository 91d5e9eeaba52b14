"""Hub repositories of weights, and the files that are fetched of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from platorep.assets.hub import snapshot
from platorep.core.errors import AssetError


class Repository(NamedTuple):
    """A Hub repository and the files to fetch.

    Attributes:
        id: owner/name.
        weights: rows of names or patterns of weight files, in order of preference: the first row with a file is used.
        others: names or patterns of other required files.
    """

    id: str
    weights: tuple[tuple[str, ...], ...]
    others: tuple[str, ...] = ()


TIMM_WEIGHTS = (("model.safetensors",), ("pytorch_model.bin",))
CLIP_WEIGHTS = (("open_clip_model.safetensors",), ("open_clip_pytorch_model.bin",))


def alternatives(named: str | None, usual: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The file in a library's registry, preceded by its safetensors version; without an entry, the usual files."""
    if not named:
        return usual
    for known in (TIMM_WEIGHTS, CLIP_WEIGHTS):
        if (named,) in known:
            return known
    sibling = str(Path(named).with_suffix(".safetensors"))
    return tuple((name,) for name in dict.fromkeys((sibling, named)))


def fetched_weights(at: Repository, revision: str) -> Path:
    """The first existing weight file of a repository at a commit, with the other files in its folder.

    Raises:
        AssetError: the repository has none of them, or cannot be reached.
    """
    names = [name for row in at.weights for name in row]
    for name in names:
        file = snapshot(at.id, revision, (name, *at.others)) / name
        if file.is_file():
            return file
    raise AssetError(
        f"the Hub repository {at.id!r} at {revision[:12]} holds no {' or '.join(names)}. "
        "Name another revision, or give the weights as an asset."
    )
