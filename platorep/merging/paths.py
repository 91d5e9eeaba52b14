"""Networks between two others: weights on a line, the loss along it, and the repair of their activations' variance."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from platorep.merging.permutations import State
from platorep.training.networks import AT_ONCE, Network, batched


class Score(NamedTuple):
    """Mean cross-entropy in nats and share of right answers."""

    loss: float
    accuracy: float


class Moments(NamedTuple):
    """Mean and standard deviation of each unit before the ReLU, over pictures and positions; float32."""

    mean: torch.Tensor
    spread: torch.Tensor


def mixed(states: Sequence[State], shares: Sequence[float]) -> State:
    """The weighted sum of weights, float32; added in float64."""
    mix = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in states[0].items()}
    for state, share in zip(states, shares, strict=True):
        for name, value in state.items():
            mix[name] += share * value.double()
    return {name: value.float() for name, value in mix.items()}


def with_weights(network: Network, state: Mapping[str, torch.Tensor]) -> Network:
    """A copy of a network with other weights."""
    other = copy.deepcopy(network)
    other.load_state_dict(dict(state))
    return other


@torch.inference_mode()
def logits(network: Network, pictures: torch.Tensor) -> torch.Tensor:
    """Logits (n, classes) of pictures."""
    return batched(network, pictures)


def score(values: torch.Tensor, labels: torch.Tensor) -> Score:
    """Loss and accuracy of logits. The loss is summed in float64."""
    loss = functional.cross_entropy(values.double(), labels)
    return Score(float(loss), float((values.argmax(1) == labels).double().mean()))


@torch.inference_mode()
def moments(network: Network, pictures: torch.Tensor) -> list[Moments]:
    """Moments of every hidden layer before its ReLU.

    Args:
        network: a chain of linear layers and ReLUs.
        pictures: shape (n, channels, side, side).
    """
    of_layers = []
    for stage in network.stages:
        before = _before(stage, pictures)
        of_layers.append(_moments(before))
        pictures = functional.relu(before)
    return of_layers


@torch.inference_mode()
def repaired(network: Network, ends: Sequence[Sequence[Moments]], share: float, pictures: torch.Tensor) -> Network:
    """A network on the line whose hidden units have the interpolated mean and deviation of the two ends.

    Layer by layer, each unit's row of weights and bias are scaled and shifted, so that its mean and deviation before
    the ReLU are share times those of the first end plus 1 - share times those of the second (REPAIR: Jordan et al.
    2023, arXiv 2211.08403). The logits are not touched.

    Args:
        network: the interpolated network.
        ends: moments of the two ends.
        share: that of the first end.
        pictures: training pictures on which the moments of the ends were taken.

    Cost: one forward pass.
    """
    network = copy.deepcopy(network)
    for stage, first, second in zip(network.stages, *ends, strict=True):
        before = _before(stage, pictures)
        now = _moments(before)
        spread = share * first.spread + (1 - share) * second.spread
        mean = share * first.mean + (1 - share) * second.mean
        factor = torch.where(now.spread > 0, spread / now.spread.clamp_min(1e-12), 1.0)
        affine = stage.affine
        affine.weight.mul_(factor.reshape(-1, *[1] * (affine.weight.ndim - 1)))
        affine.bias.copy_((affine.bias - now.mean) * factor + mean)
        shape = (1, -1, *[1] * (before.ndim - 2))
        pictures = functional.relu((before - now.mean.reshape(shape)) * factor.reshape(shape) + mean.reshape(shape))
    return network


def permuted_moments(of_layers: Sequence[Moments], orders: Sequence[np.ndarray]) -> list[Moments]:
    """Moments of a network whose hidden units are in another order."""
    places = [torch.as_tensor(order) for order in orders]
    return [Moments(layer.mean[place], layer.spread[place]) for layer, place in zip(of_layers, places, strict=True)]


def _before(stage: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The output of a stage's linear layer, before its ReLU."""
    x = x.flatten(1) if getattr(stage, "first", False) else x
    affine = cast(nn.Module, stage.affine)
    return batched(affine, x)


def _moments(before: torch.Tensor) -> Moments:
    """Moments of every unit over pictures and positions, in float64, from two passes over parts of the pictures."""
    dims, count = [0, *range(2, before.ndim)], before.numel() // before.shape[1]
    shape = (1, -1, *[1] * (before.ndim - 2))
    parts = before.split(AT_ONCE)
    mean = sum((part.sum(dims, dtype=torch.float64) for part in parts), torch.zeros(before.shape[1]).double()) / count
    centre = mean.reshape(shape)
    squares = sum(((part - centre).square_().sum(dims) for part in parts), torch.zeros_like(mean))
    return Moments(mean.float(), (squares / count).sqrt().float())
