"""The units of one model: which of them vary, and their activations over all samples, one block of units at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch

from platorep.core.errors import FeatureError
from platorep.core.features import Features


log = logging.getLogger(__name__)

CHUNK = 1 << 22
"""Largest number of values of a layer that are read at a time."""

TURNED = 1 << 23
"""Largest number of values of a block that are in float64 at a time, to rotate them or remove covariates: 67 MB."""

NAMED = 8
"""Largest number of dead units of a layer that a message names."""

EXPLAINED = 1e-10
"""Least share of a unit's variance that must remain after covariates are removed; rounding leaves about 1e-14."""


class Units(Protocol):
    """Units with variation, numbered over all layers in depth order."""

    @property
    def count(self) -> int:
        """Number of units."""

    @property
    def n(self) -> int:
        """Number of samples."""

    def load(self, start: int, stop: int) -> torch.Tensor:
        """Activations of units start to stop, shape (n, stop - start), float32, on the CPU."""


class Place(NamedTuple):
    """Layer index and index within the layer of units, each of shape (units,) int64."""

    layer: np.ndarray
    unit: np.ndarray


@dataclass(frozen=True)
class ModelUnits:
    """The units of some layers of one model that vary over the samples. Units without variation are left out.

    Args:
        features: features of the model.
        layers: ascending indices of the layers.
        covariates: orthonormal centred columns, shape (n, q), that are removed from every unit by least squares; or
            None.
    """

    features: Features
    layers: Sequence[int]
    covariates: torch.Tensor | None = None

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.features.n

    @property
    def count(self) -> int:
        """Number of units that vary."""
        return len(self.place.layer)

    @cached_property
    def live(self) -> dict[int, np.ndarray]:
        """Indices of the units that vary, by layer.

        Raises:
            FeatureError: a value is not finite; names the model, the layer and the unit.
        """
        return {layer: self._varying(layer) for layer in self.layers}

    @cached_property
    def dead(self) -> Place:
        """The units that are equal for all samples; logged once."""
        layers, units = [], []
        for layer, live in self.live.items():
            dead = np.setdiff1d(np.arange(self.features.layers[layer].dim), live)
            layers.append(np.full(len(dead), layer))
            units.append(dead)
            if len(dead):
                names = ", ".join(map(str, dead[:NAMED])) + (", ..." if len(dead) > NAMED else "")
                name = f"{self.features.name}, layer {self.features.layers[layer].name}"
                log.warning("%s: %d units are equal for all samples and take no part: %s.", name, len(dead), names)
        return Place(np.concatenate(layers).astype(np.int64), np.concatenate(units).astype(np.int64))

    @cached_property
    def place(self) -> Place:
        """Layer and index of every unit that varies."""
        layers = [np.full(len(units), layer) for layer, units in self.live.items()]
        return Place(np.concatenate(layers).astype(np.int64), np.concatenate([*self.live.values()]).astype(np.int64))

    def load(self, start: int, stop: int) -> torch.Tensor:
        """Activations of units start to stop over all samples, after removal of the covariates."""
        values = torch.empty(self.n, stop - start)
        for layer in self.layers:
            columns_here = np.flatnonzero(self.place.layer[start:stop] == layer)
            if len(columns_here):
                columns = torch.from_numpy(self.place.unit[start:stop][columns_here])
                for rows, chunk in self.chunks(layer):
                    values[rows, columns_here[0] : columns_here[-1] + 1] = chunk[:, columns]
        if self.covariates is not None:
            for part in values.split(max(1, TURNED // self.n), dim=1):  # float64 copies of a few units at a time
                part.copy_(without(part, self.covariates))
        return values

    def chunks(self, layer: int) -> Iterator[tuple[slice, torch.Tensor]]:
        """Rows of a layer with all of its units, a bounded number of values at a time."""
        step = max(1, CHUNK // self.features.layers[layer].dim)
        for start in range(0, self.n, step):
            rows = slice(start, min(start + step, self.n))
            yield rows, self.features.load(layer, rows=rows)

    def _varying(self, layer: int) -> np.ndarray:
        dim = self.features.layers[layer].dim
        low, high = torch.full((dim,), torch.inf), torch.full((dim,), -torch.inf)
        for _, chunk in self.chunks(layer):
            if not torch.isfinite(chunk).all():
                unit = int((~torch.isfinite(chunk)).any(dim=0).nonzero()[0])
                raise FeatureError(
                    f"{self.features.name}, layer {self.features.layers[layer].name}: unit {unit} has values that are "
                    "NaN or infinite, so it has no correlation. Leave the layer out (units.layers), or extract again."
                )
            low, high = torch.minimum(low, chunk.amin(dim=0)), torch.maximum(high, chunk.amax(dim=0))
        return np.flatnonzero((high > low).numpy())


@dataclass(frozen=True)
class RotatedUnits:
    """The units of a model in another orthonormal basis of each layer, drawn uniformly (Haar measure).

    Each unit is standardised first, so that the result does not depend on the scales of the units, and the rotation
    mixes only units of one layer. The rotated layer spans the same space as the original one.

    Args:
        base: units to rotate.
        seed: seed of the rotations; each is determined by the seed and the index of its layer.

    Cost: d_layer^3 for each rotation and n d_layer^2 for the units of a layer, which are read once per `TURNED` values;
    memory: the block, two matrices of d_layer^2 in float64, and `TURNED` values in float64.
    """

    base: ModelUnits
    seed: Sequence[int]

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.base.n

    @property
    def count(self) -> int:
        """That of the base."""
        return self.base.count

    def load(self, start: int, stop: int) -> torch.Tensor:
        """Activations of rotated units start to stop over all samples."""
        place, values = self.base.place, torch.empty(self.n, stop - start)
        for layer in self.base.layers:
            first, last = np.searchsorted(place.layer, [layer, layer + 1])
            low, high = max(first, start), min(last, stop)
            if low < high:
                turn = torch.from_numpy(rotation(last - first, [*self.seed, layer]))
                width = max(1, TURNED // self.n)
                for column in range(low, high, width):
                    columns = slice(column, min(column + width, high))
                    here = slice(columns.start - start, columns.stop - start)
                    values[:, here] = self._turned(first, last, turn[:, columns.start - first : columns.stop - first])
        return values

    def _turned(self, first: int, last: int, turn: torch.Tensor) -> torch.Tensor:
        """Product of standardised units first to last and columns of a rotation, in parts of the units, float64."""
        turned = torch.zeros(self.n, turn.shape[1], dtype=torch.float64)
        step = max(1, CHUNK // self.n)
        for start in range(first, last, step):
            stop = min(start + step, last)
            turned.addmm_(standardised(self.base.load(start, stop)), turn[start - first : stop - first])
        return turned


def rotation(size: int, seed: Sequence[int]) -> np.ndarray:
    """A matrix drawn uniformly from the orthogonal group, shape (size, size) float64; the same for the same seed."""
    from scipy.stats import ortho_group

    rng = np.random.default_rng(list(seed))
    if size == 1:
        return np.array([[rng.choice([-1.0, 1.0])]])
    return ortho_group.rvs(size, random_state=rng)


def without(values: torch.Tensor, covariates: torch.Tensor) -> torch.Tensor:
    """Residuals of a least-squares fit; a column that the covariates explain completely becomes zero.

    Args:
        values: shape (n, d) float32.
        covariates: orthonormal columns with mean 0, shape (n, q) float64.
    """
    wide = values.double()
    wide -= wide.mean(dim=0)
    before = wide.square().sum(dim=0)
    wide -= covariates @ (covariates.T @ wide)
    wide[:, wide.square().sum(dim=0) <= EXPLAINED * before] = 0
    return wide.float()


def standardised(values: torch.Tensor) -> torch.Tensor:
    """Columns with mean 0 and length 1, float64: inner products are correlations. Constant columns become zero."""
    wide = values.double()
    wide -= wide.mean(dim=0)
    length = wide.square().sum(dim=0).sqrt()
    return wide.div_(torch.where(length > 0, length, 1.0))
