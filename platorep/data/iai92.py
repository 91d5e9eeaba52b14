"""The 92 pictures of Kriegeskorte et al. 2008: objects on grey, seen by people and monkeys whose IT was recorded.

Kriegeskorte, Mur, Ruff, Kiani, Bodurka, Esteky, Tanaka, Bandettini: Matching categorical object representations in
inferior temporal cortex of man and monkey. Neuron 60 (2008), doi:10.1016/j.neuron.2008.10.043. The pictures and the
dissimilarities come from an early source archive of the package rsatoolbox; the licence of the data is not stated, so
that they are fetched and never shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PIL import Image

from platorep.assets import fetch
from platorep.core.errors import AssetError
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin


FILE = "Kriegeskorte_Neuron2008_supplementalData.mat"
"""The MATLAB file of the pictures."""


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """The 92 pictures in the order of the dissimilarities.

    The id of a pair is its place ("01" to "92"); caption and category are one of six words of the file, such as "human
    face". The pictures differ within a category, so that models of language cannot tell them apart.
    """
    from scipy.io import loadmat

    check_switches(spec)
    only_assets(spec, 1, "the source archive with the MATLAB files")
    folder = fetch(spec.assets[0], progress=progress)
    path = next(iter(sorted(folder.rglob(FILE))), None)
    if path is None:
        raise AssetError(f"{spec.assets[0].id} has no {FILE} among its members. Add it to the asset's `members`.")
    entries = loadmat(path, variable_names=["stimuli_92objs"])["stimuli_92objs"].ravel()
    found, width = [], len(str(len(entries)))
    for number, entry in enumerate(entries, 1):
        pixels, category = entry["image"], str(entry["category"].ravel()[0])
        show = partial(_picture, pixels.tobytes(), (pixels.shape[1], pixels.shape[0]))
        found.append(Pair(str(number).zfill(width), [category], category, [show]))
    revision = (spec.assets[0].sha256 or "")[:12]
    return pin(spec, revision, "Leave dataset.revision open: the asset's SHA-256 pins it."), found


def _picture(pixels: bytes, size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("RGB", size, pixels)
