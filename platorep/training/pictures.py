"""Labelled pictures as one tensor: decoded once, kept in the cache, and divided for training."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from platorep.assets import derived
from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec, TrainingSpec
from platorep.data import open_dataset, settled


if TYPE_CHECKING:
    from PIL.Image import Image

HELD_OUT = 12
"""One picture in so many is not trained on: the share for choices, such as which networks enter a soup."""


@dataclass(frozen=True)
class Labelled:
    """Inputs of a network and their classes.

    Attributes:
        inputs: pictures, shape (n, channels, side, side), float32 in [0, 1]; or ids of tokens, shape (n, tokens).
        labels: shape (n,), int64; of tokens the next ones, shape (n, tokens).
        classes: names of the classes in alphabetical order, or the tokens of a vocabulary.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    classes: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, places: torch.Tensor) -> Labelled:
        """Some of the pictures."""
        return Labelled(self.inputs[places], self.labels[places], self.classes)


def labelled_pictures(spec: DatasetSpec, side: int, channels: int) -> Labelled:
    """The pictures of a dataset, reduced or enlarged (bicubic) to squares, with their categories as classes.

    Raises:
        DataError: the dataset has no categories, or only one.
        AssetError: it cannot be fetched.

    Cost: decodes each picture once; later calls read one file of the cache.
    """
    return Library().labelled(spec, side, channels)


class Library:
    """Datasets that are resolved once and read once while it lives; used by several threads."""

    def __init__(self) -> None:
        self._resolved: dict[str, DatasetSpec] = {}
        self._labelled: dict[tuple[str, int, int], Labelled] = {}
        self._lock = threading.Lock()

    def resolved(self, spec: DatasetSpec) -> DatasetSpec:
        """The dataset with the revision of its present content."""
        with self._lock:
            return self._settled(spec)

    def labelled(self, spec: DatasetSpec, side: int, channels: int) -> Labelled:
        """See `labelled_pictures`."""
        with self._lock:
            key = spec.key(), side, channels
            if key not in self._labelled:
                self._labelled[key] = _read(self._settled(spec), side, channels)
            return self._labelled[key]

    def _settled(self, spec: DatasetSpec) -> DatasetSpec:
        if (key := spec.key()) not in self._resolved:
            self._resolved[key] = settled(spec)
        return self._resolved[key]


def _read(resolved: DatasetSpec, side: int, channels: int) -> Labelled:
    name = f"labelled/{resolved.key()}-{side}x{side}x{channels}"
    folder = derived(name, partial(_decode, resolved, side, channels))
    with safe_open(folder / "pictures.safetensors", "pt") as file:
        pictures, labels = file.get_tensor("pictures"), file.get_tensor("labels")
        classes = json.loads(file.metadata()["classes"])
    return Labelled(pictures.float().div_(255), labels.long(), classes)


def _decode(spec: DatasetSpec, side: int, channels: int, folder: Path) -> None:
    dataset = open_dataset(spec)
    categories = dataset.samples.categories
    if categories is None or len(set(categories)) < 2:
        raise DataError(f"dataset {spec.name!r} has no two categories: a network cannot be trained to tell them apart.")
    classes, labels = np.unique(np.asarray(categories), return_inverse=True)
    pictures = np.stack([pixels(dataset.picture(i), side, channels) for i in range(len(dataset))])
    tensors = {"pictures": torch.from_numpy(pictures), "labels": torch.from_numpy(labels.astype(np.int32))}
    save_file(tensors, folder / "pictures.safetensors", {"classes": json.dumps([str(name) for name in classes])})


def pixels(picture: Image, side: int, channels: int) -> np.ndarray:
    """The pixels of a picture as the networks see it, shape (channels, side, side), uint8."""
    from PIL.Image import Resampling

    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (side, side):
        picture = picture.resize((side, side), Resampling.BICUBIC)
    values = np.asarray(picture)
    return values[None] if channels == 1 else values.transpose(2, 0, 1)


def split(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the pictures to fit on, and of those held out for choices; the same for all networks."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    held = count // HELD_OUT
    return order[held:], order[:held]


def training_part(data: Labelled, training: TrainingSpec) -> Labelled:
    """The pictures that a network is trained on, with the labels that it is given.

    The first half of the pictures is that of the split's order, and the first half of the classes that of the alphabet.
    Shuffled labels are a permutation of the true ones, the same for all networks.
    """
    part = data.part(split(len(data))[0])
    half = len(part) // 2
    if training.pictures != "all":
        part = part.part(torch.arange(half) if training.pictures == "first" else torch.arange(half, len(part)))
    if training.classes != "all":
        lower = part.labels < len(data.classes) // 2
        part = part.part((lower if training.classes == "first" else ~lower).nonzero().squeeze(1))
    if training.labels == "shuffled":
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(1))
        part = Labelled(part.inputs, part.labels[order], part.classes)
    return part
