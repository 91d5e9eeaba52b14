"""Labelled pictures in IDX files, the format of MNIST and of the data sets that imitate it.

The training pictures are in train-images-idx3-ubyte and their classes in train-labels-idx1-ubyte, those of the test in
t10k-...; each may be compressed by gzip (LeCun, Cortes and Burges, The MNIST database of handwritten digits).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from platorep.assets import fetch
from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin


PREFIXES = {"train": "train", "test": "t10k"}
"""Beginnings of the files by split."""

MAGIC = {1: 0x801, 3: 0x803}
"""First four bytes of a file of unsigned bytes, by its number of dimensions."""


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """The pictures of `split`, train or test, in the order of the file.

    The id of a pair is the split and the place ("test-00042"). Category and caption are the name of its class, which
    `options.names` lists in the order of the labels.

    Raises:
        SpecError: `options.names` is not a list.
        UnknownNameError: there is no such split.
        DataError: a file is missing or damaged, pictures and labels differ in number, or a class has no name.
    """
    check_switches(spec, options=["names"])
    only_assets(spec, 1, "the folder or package with the IDX files")
    names = spec.options.get("names")
    if not isinstance(names, (list, tuple)) or not names:
        raise SpecError(f"dataset.options.names is {names!r}; expected the classes' names in the order of the labels.")
    if spec.split not in PREFIXES:
        raise unknown_name(f"split of dataset {spec.name}", spec.split, PREFIXES)
    folder = fetch(spec.assets[0], progress=progress)
    pictures = read_idx(_file(folder, f"{PREFIXES[spec.split]}-images-idx3-ubyte"), 3)
    labels = read_idx(_file(folder, f"{PREFIXES[spec.split]}-labels-idx1-ubyte"), 1)
    if len(pictures) != len(labels):
        raise DataError(f"{folder} holds {len(pictures)} pictures and {len(labels)} labels of {spec.split}.")
    if len(labels) and labels.max() >= len(names):
        raise DataError(f"label {labels.max()} has no name: dataset.options.names lists {len(names)} classes.")
    items, width = [], len(str(len(labels)))
    for place, (pixels, label) in enumerate(zip(pictures, labels, strict=True)):
        show = partial(_picture, pixels.tobytes(), (pixels.shape[1], pixels.shape[0]))
        name = str(names[label])
        items.append(Pair(f"{spec.split}-{place:0{width}d}", [name], name, [show]))
    revision = (spec.assets[0].sha256 or "local")[:12]
    return pin(spec, revision, "Leave dataset.revision open: the asset's SHA-256 pins it."), items


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The array of a file of unsigned bytes, compressed by gzip or not.

    Args:
        path: the file.
        dimensions: number of its dimensions.

    Raises:
        DataError: the file is damaged, or holds other values.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be decompressed: {error}. Fetch it again.") from error
    start = 4 * (1 + dimensions)
    sizes = np.frombuffer(raw[:start], dtype=">i4")
    if len(sizes) <= dimensions or sizes[0] != MAGIC[dimensions]:
        raise DataError(f"{path} is no IDX file of unsigned bytes in {dimensions} dimensions.")
    shape = tuple(int(size) for size in sizes[1:])
    if len(raw) - start != int(np.prod(shape)):
        raise DataError(f"{path} holds {len(raw) - start:,} bytes; its header says {shape}. Fetch it again.")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def _file(folder: Path, name: str) -> Path:
    for path in sorted(folder.rglob(f"{name}*")):
        if path.name in (name, f"{name}.gz"):
            return path
    raise DataError(f"{folder} holds no {name} or {name}.gz. Give the folder of the IDX files.")


def _picture(pixels: bytes, size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("L", size, pixels).convert("RGB")
