"""Features of one model: the interface that the engines use, and implementations that need no store.

A model of source "matrix" has dissimilarities in place of features: a layer of width R n holds R repetitions (people or
sessions) of an n x n matrix side by side. `is_matrix` tells such models apart, and `matrices` reads them.

`core.stored.FeatureSet` reads features from disk. `ArrayFeatures` has them in memory, and `Subset` shows some of the
samples of other features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from platorep.core.errors import FeatureError
from platorep.core.manifest import Layer
from platorep.core.samples import ids_digest
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec


if TYPE_CHECKING:
    import numpy as np
    import torch


class Features(Protocol):
    """Features of every layer of one model on one dataset."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def key(self) -> str:
        """Key of the content: equal keys mean equal features."""

    @property
    def dataset(self) -> str:
        """The dataset's name as written in tables, "<name>--<key>" for stored features."""

    @property
    def content(self) -> str:
        """Hash of all values; results computed from the features record it."""

    @property
    def n(self) -> int:
        """Number of samples."""

    @property
    def digest(self) -> str:
        """Digest of the ordered sample ids: only features with equal digests can be compared."""

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers in depth order."""

    @property
    def spec(self) -> ExtractSpec:
        """The spec that the features were extracted from."""

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """One layer as float32, shape (n, dim), or the given rows of it. The caller may modify the tensor."""


def is_matrix(features: Features) -> bool:
    """Whether a model has dissimilarities of the samples in place of features."""
    return features.spec.model.source == "matrix"


def matrices(features: Features, layer: int, *, device: str = "cpu") -> torch.Tensor:
    """The repetitions of one layer of a model that is a matrix, shape (R, n, n) float32."""
    n = features.n
    return features.load(layer, device=device).view(n, -1, n).transpose(0, 1)


def require_features(features: Features, user: str) -> None:
    """Refuses a model without features, before anything is computed.

    Args:
        features: of one model.
        user: what needs features, as the subject of the message: "a linear map".

    Raises:
        FeatureError: the model is a matrix of dissimilarities.
    """
    if is_matrix(features):
        raise FeatureError(
            f"{features.name} is a matrix of dissimilarities, and {user} needs features. Leave the model out, "
            "or compare it by neighbours, rsa or cka."
        )


@dataclass(frozen=True)
class ArrayFeatures:
    """Features in memory.

    Args:
        name: of the model.
        tensors: one tensor per layer, shape (n, dim), with the same n.
        dataset: name of the data.
        modality: of the model.
        layer_names: one name per layer; layer.0, layer.1, ... by default.
    """

    name: str
    tensors: Sequence[torch.Tensor]
    dataset: str = "memory"
    modality: str = ""
    layer_names: Sequence[str] = ()
    key: str = field(init=False)
    digest: str = field(init=False)
    layers: list[Layer] = field(init=False)
    spec: ExtractSpec = field(init=False)

    def __post_init__(self) -> None:
        names = self.layer_names or [f"layer.{i}" for i in range(len(self.tensors))]
        layers = [Layer(name, tensor.shape[1], "F32") for name, tensor in zip(names, self.tensors, strict=True)]
        model = ModelSpec(name=self.name, modality=self.modality, source="imported", id=self.name)
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "key", f"{self.name}-{_content(self.tensors)}")
        object.__setattr__(self, "digest", ids_digest([str(i) for i in range(self.n)]))
        dataset = DatasetSpec(name=self.dataset, source="synthetic", n=self.n)
        object.__setattr__(self, "spec", ExtractSpec(model=model, dataset=dataset))

    @property
    def content(self) -> str:
        """The key, which hashes the values."""
        return self.key

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.tensors[0])

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """A copy of the rows as float32: the engine clamps in place."""
        import torch

        return self.tensors[layer][rows or slice(None)].to(device, torch.float32, copy=True)


@dataclass(frozen=True)
class Subset:
    """A subset of the samples of other features, with the same layers.

    Args:
        whole: the features of all samples.
        places: ascending indices of the chosen samples.
        label: describes the choice; part of the dataset's name and of the digest.
    """

    whole: Features
    places: np.ndarray
    label: str

    @property
    def name(self) -> str:
        """That of the whole."""
        return self.whole.name

    @property
    def key(self) -> str:
        """The key of the whole; the digest distinguishes the samples."""
        return self.whole.key

    @property
    def dataset(self) -> str:
        """That of the whole, followed by the label."""
        return f"{self.whole.dataset}[{self.label}]"

    @property
    def content(self) -> str:
        """That of the whole, followed by the label."""
        return f"{self.whole.content}[{self.label}]"

    @property
    def n(self) -> int:
        """Number of chosen samples."""
        return len(self.places)

    @property
    def digest(self) -> str:
        """That of the whole, followed by the label."""
        return f"{self.whole.digest}[{self.label}]"

    @property
    def layers(self) -> Sequence[Layer]:
        """Those of the whole; of a matrix with the columns of the chosen samples."""
        if not is_matrix(self.whole):
            return self.whole.layers
        return [Layer(layer.name, layer.dim // self.whole.n * self.n, layer.dtype) for layer in self.whole.layers]

    @property
    def spec(self) -> ExtractSpec:
        """That of the whole."""
        return self.whole.spec

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        """The chosen rows of a layer, or the given rows among them; of a matrix, their columns as well."""
        if not is_matrix(self.whole):
            return self.whole.load(layer, device=device)[self.places[rows or slice(None)]]
        chosen = matrices(self.whole, layer, device=device)[:, self.places[rows or slice(None)]][:, :, self.places]
        return chosen.transpose(0, 1).flatten(1)


def _content(tensors: Sequence[torch.Tensor]) -> str:
    """A hash of shapes and float32 values."""
    import torch

    code = hashlib.sha256()
    for tensor in tensors:
        values = tensor.to("cpu", torch.float32).contiguous().numpy()
        code.update(repr(tuple(tensor.shape)).encode() + values.tobytes())
    return code.hexdigest()[:12]
