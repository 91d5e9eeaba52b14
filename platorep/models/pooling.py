"""Pools the states of tokens or positions to one float32 vector."""

from __future__ import annotations

import torch

from platorep.core.errors import SpecError


def pool_tokens(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Pools the tokens of each item to one vector.

    Args:
        hidden: (batch, tokens, width), any float dtype.
        mask: (batch, tokens), true for pooled tokens; at least one per row.
        how: "mean", "max", "last" (the last pooled token) or "cls" (the first one).

    Returns:
        Float32 vectors, shape (batch, width). Sums are accumulated in float32 for every dtype of `hidden`.
    """
    hidden = hidden.float()
    if how == "mean":
        weights = mask.float()
        weights = weights / weights.sum(1, keepdim=True)
        return torch.bmm(weights.unsqueeze(1), hidden).squeeze(1)
    if how == "max":
        return hidden.masked_fill(~mask.unsqueeze(-1), float("-inf")).amax(1)
    places = torch.arange(mask.shape[1], device=mask.device)
    at = torch.where(mask, places, -1).amax(1) if how == "last" else torch.where(mask, places, mask.shape[1]).amin(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), at]


def pool_patches(hidden: torch.Tensor, prefix: int, how: str) -> torch.Tensor:
    """Pools the tokens of a vision transformer, shape (batch, tokens, width), into one float32 vector per picture.

    The first `prefix` tokens are not patches. "cls" takes token 0; "mean" and "max" pool the patches only.
    """
    if how == "cls":
        return hidden[:, 0].float()
    patches = hidden[:, prefix:].float()
    return patches.mean(1) if how == "mean" else patches.amax(1)


def pool_space(maps: torch.Tensor, how: str) -> torch.Tensor:
    """Pools feature maps (batch, channels, height, width) over space by mean or maximum into float32 vectors."""
    flat = maps.flatten(2).float()
    return flat.mean(2) if how == "mean" else flat.amax(2)


def picture_pool(pool: str, has_class_token: bool, name: str) -> str:
    """Resolves `pool` for a vision model: "auto" is the class token if there is one, else the mean.

    Raises:
        SpecError: the model does not support the pool.
    """
    if pool == "auto":
        return "cls" if has_class_token else "mean"
    if pool == "last" or (pool == "cls" and not has_class_token):
        have = "cls, mean or max" if has_class_token else "mean or max (it has no class token)"
        raise SpecError(f"{name}: pool={pool} does not exist for this vision model; expected {have}.")
    return pool
