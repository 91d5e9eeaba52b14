"""Models in memory whose units are known."""

from __future__ import annotations

import torch

from platorep.core.features import ArrayFeatures


def gaussian(seed: int, widths: tuple[int, ...] = (80, 80), n: int = 500, name: str = "") -> ArrayFeatures:
    """Independent normal units."""
    chance = torch.Generator().manual_seed(seed)
    return ArrayFeatures(name or f"g{seed}", [torch.randn(n, d, generator=chance) for d in widths])


def permuted(features: ArrayFeatures, seed: int = 0, name: str = "copy") -> tuple[ArrayFeatures, list[torch.Tensor]]:
    """The same units of each layer in another order, scaled and shifted, and the orders."""
    chance = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(layer.dim, generator=chance) for layer in features.layers]
    layers = [3 * layer[:, order] - 1 for layer, order in zip(features.tensors, orders, strict=True)]
    return ArrayFeatures(name, layers), orders


def noisy(features: ArrayFeatures, amount: float, seed: int = 1, name: str = "noisy") -> ArrayFeatures:
    """The same units with independent noise of this size."""
    chance = torch.Generator().manual_seed(seed)
    return ArrayFeatures(name, [x + amount * torch.randn(x.shape, generator=chance) for x in features.tensors])


def turned(features: ArrayFeatures, seed: int = 2, name: str = "turned") -> ArrayFeatures:
    """Each layer in another basis, which its QR decomposition draws from the Haar measure."""
    chance, layers = torch.Generator().manual_seed(seed), []
    for x in features.tensors:
        q, r = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], generator=chance, dtype=torch.float64))
        layers.append((x.double() @ (q * r.diagonal().sign())).float())
    return ArrayFeatures(name, layers)
