"""Small IDX files: scikit-learn's digits, divided as MNIST is."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


NAMES = [f"digit {number}" for number in range(10)]
TRAIN = 1200


def write_idx(folder: Path) -> None:
    """The four files of a data set in a folder; the pictures of training are compressed, the others are not."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = (digits.images * (255 / 16)).round().astype(np.uint8)
    for prefix, places in (("train", slice(0, TRAIN)), ("t10k", slice(TRAIN, None))):
        raw = encoded(pictures[places])
        if prefix == "train":
            (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(raw))
        else:
            (folder / f"{prefix}-images-idx3-ubyte").write_bytes(raw)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(encoded(digits.target[places].astype(np.uint8)))


def encoded(values: np.ndarray) -> bytes:
    """An array of unsigned bytes as an IDX file."""
    head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}i", *values.shape)
    return head + values.tobytes()
