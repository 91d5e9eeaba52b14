"""Checks arrays in memory and converts them to `Features` for the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from platorep.core.errors import FeatureError
from platorep.core.features import ArrayFeatures
from platorep.core.rounding import rounding_loss, unusable


Array = np.ndarray | torch.Tensor

WIDE = (torch.float64, torch.int32, torch.int64, torch.uint32, torch.uint64)
"""Dtypes with values that float32 cannot represent."""


class Arrays:
    """Layers of one model in memory.

    Args:
        name: of the model, for messages.
        layers: one array a layer, shape (n, d_layer), any real dtype.

    Raises:
        FeatureError: no layers, different numbers of rows, or values that float32 cannot hold.
    """

    def __init__(self, name: str, layers: Sequence[Array]) -> None:
        self.name = name
        self.losses: dict[int, float] = {}  # of the layers whose dtype has values that float32 cannot represent
        if not isinstance(layers, Iterable):
            raise FeatureError(
                f"{name}: got {type(layers).__name__}, expected an array of shape (n, d), or a list of such layers."
            )
        self.tensors = [self._tensor(layer, i) for i, layer in enumerate(layers)]
        if not self.tensors:
            raise FeatureError(f"{name} has no layers; give at least one array of shape (n, d).")
        if len(lengths := {len(tensor) for tensor in self.tensors}) > 1:
            raise FeatureError(
                f"the layers of {name} have different numbers of rows: {sorted(lengths)}. Row i of each must be "
                "sample i."
            )
        self.n = len(self.tensors[0])

    @property
    def features(self) -> ArrayFeatures:
        """The layers as features for the engine."""
        return ArrayFeatures(self.name, self.tensors)

    def _tensor(self, layer: Array, index: int) -> torch.Tensor:
        where = f"{self.name}, layer {index}"
        if not isinstance(layer, (np.ndarray, torch.Tensor)):
            raise FeatureError(f"{where}: got {type(layer).__name__}, expected a numpy array or a torch tensor.")
        if why := unusable(layer):
            raise FeatureError(f"{where}: {why}")
        if layer.ndim != 2:
            raise FeatureError(f"{where}: shape {tuple(layer.shape)}, {layer.dtype}; expected real (n, d).")
        layer = layer.detach() if isinstance(layer, torch.Tensor) else layer
        if (
            layer.dtype in WIDE
            if isinstance(layer, torch.Tensor)
            else layer.dtype.itemsize > 2 and layer.dtype != np.float32
        ):
            values = layer.cpu().numpy() if isinstance(layer, torch.Tensor) else layer
            with np.errstate(over="ignore"):
                if (np.isfinite(values) & ~np.isfinite(values.astype(np.float32))).any():
                    top = np.abs(values[np.isfinite(values)]).max()
                    raise FeatureError(
                        f"{where}: values up to {top:.2g} are too large for float32; scale the features."
                    )
                self.losses[index] = rounding_loss(values)
        if isinstance(layer, np.ndarray):
            native = (
                np.float32 if layer.dtype.kind == "f" and layer.dtype.itemsize > 8 else layer.dtype.newbyteorder("=")
            )
            layer = torch.from_numpy(np.ascontiguousarray(layer, native))
        return layer
