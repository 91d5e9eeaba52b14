"""Small classifiers of pictures: a perceptron, a network of four convolutions, a vision transformer.

A network is a chain of stages and a head. A stage's output is a layer: a vector (batch, d) of the perceptron, a map
(batch, channels, height, width) of the convolutions, after the ReLU; tokens (batch, positions, d) of the transformer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import nn
from torch.nn import functional

from platorep.core.errors import SpecError


Kind = Literal["mlp", "conv", "vit"]

AT_ONCE = 250
"""Pictures per pass without gradient: their maps fit the cache, and are small enough for memory to be used again."""

PATCHES = 4
"""Patches of the transformer along each side of the picture."""

HEAD_WIDTH = 16
"""Width of an attention head."""


class Network(nn.Module):
    """A chain of stages with a linear head.

    Args:
        kind: architecture.
        stages: modules in order; the output of each is a layer.
        head: the classifier, from the output of the last stage.
    """

    at_once = AT_ONCE
    """Pictures per pass that needs no gradient."""

    def __init__(self, kind: Kind, stages: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.kind = kind
        self.names = [f"stage{number}" for number in range(1, len(stages) + 1)]
        self.stages, self.head = nn.ModuleList(stages), head

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) of pictures (batch, channels, side, side) in [0, 1]."""
        return self.top(pictures, 0)

    def bottom(self, pictures: torch.Tensor, count: int) -> torch.Tensor:
        """The output of the first `count` stages."""
        for stage in self.stages[:count]:
            pictures = stage(pictures)
        return pictures

    def top(self, state: torch.Tensor, count: int) -> torch.Tensor:
        """Logits from the output of the first `count` stages."""
        for stage in self.stages[count:]:
            state = stage(state)
        return self.head(state).flatten(1)

    def layers(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of all stages in order."""
        states = []
        for stage in self.stages:
            pictures = batched(stage, pictures)
            states.append(pictures)
        return states


def pooled(state: torch.Tensor) -> torch.Tensor:
    """The mean of a layer over its positions, shape (batch, d); a vector is returned as it is."""
    if state.ndim == 4:
        return state.mean((2, 3))
    return state.mean(1) if state.ndim == 3 else state


def build(architecture: str, *, side: int, channels: int, classes: int) -> Network:
    """A network with weights from torch's global generator.

    Args:
        architecture: "mlp-W": three hidden layers of W units (784-512-512-512-10 in Git Re-Basin is mlp-512). "conv-W":
            four convolutions of W, W, 2W and 2W channels, the first and third with stride 2; the head reads each
            position. "vit-W": 4 x 4 patches, four blocks of width W with heads of 16, LayerNorm first. None of
            them has batch norm, and the weights of layers before a ReLU are drawn after He et al. 2015.
        side: of the pictures in pixels.
        channels: of the pictures.
        classes: number of logits.

    Raises:
        SpecError: there is no such architecture.
    """
    kind, width = parse(architecture)
    if kind == "mlp":
        sizes = [channels * side * side, width, width, width]
        stages = [Dense(sizes[i], sizes[i + 1], first=i == 0) for i in range(3)]
        return Network("mlp", [*stages], nn.Linear(width, classes))
    if kind == "conv":
        steps = [(channels, width, 2), (width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)]
        # a kernel as large as the map reads each position on its own and keeps channels on one axis
        return Network("conv", [Convolution(*step) for step in steps], nn.Conv2d(2 * width, classes, -(-side // 4)))
    if side % PATCHES or width % HEAD_WIDTH:
        raise SpecError(
            f"{architecture} on pictures of {side} pixels: expected a width divisible by {HEAD_WIDTH} and a side "
            f"divisible by {PATCHES}."
        )
    embed = Patches(channels * (side // PATCHES) ** 2, width)
    return Network("vit", [embed, *(Block(width) for _ in range(4))], Normed(width, classes))


def parse(architecture: str) -> tuple[Kind, int]:
    """Kind and width of an architecture.

    Raises:
        SpecError: there is no such architecture.
    """
    if (match := re.fullmatch(r"(mlp|conv|vit)-([1-9]\d{0,4})", architecture)) is None:
        raise SpecError(f"architecture {architecture!r}; expected mlp-W, conv-W or vit-W with a width, as in mlp-128.")
    return cast(Kind, match[1]), int(match[2])


class Dense(nn.Module):
    """A linear layer and a ReLU; the first one takes pictures."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.affine, self.first = nn.Linear(inputs, outputs), first
        _draw(self.affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.affine(x.flatten(1) if self.first else x))


class Convolution(nn.Module):
    """A 3 x 3 convolution and a ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.affine = nn.Conv2d(inputs, outputs, 3, stride, 1)
        _draw(self.affine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.affine(x))


class Patches(nn.Module):
    """Patches as tokens, with learned positions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(inputs, width)
        self.positions = nn.Parameter(0.02 * torch.randn(PATCHES**2, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step = x.shape[-1] // PATCHES
        patches = functional.unfold(x, step, stride=step).transpose(1, 2)  # (batch, positions, pixels)
        return self.affine(patches) + self.positions


class Block(nn.Module):
    """Attention and a perceptron on a residual stream, each after a LayerNorm (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.norm, self.queries, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.queries(self.norm(x)).unflatten(-1, (3, self.heads, HEAD_WIDTH)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Normed(nn.Module):
    """The mean over tokens, a LayerNorm and a linear classifier."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm, self.affine = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.affine(self.norm(x.mean(1)))


def _draw(layer: nn.Linear | nn.Conv2d) -> None:
    """Draws weights of variance 2 / inputs; biases are 0."""
    nn.init.normal_(layer.weight, std=math.sqrt(2 / math.prod(layer.weight.shape[1:])))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def batched(run: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor, size: int = AT_ONCE) -> torch.Tensor:
    """`run` over batches of the inputs, joined; batches bound the memory and do not change a result."""
    return torch.cat([run(part) for part in inputs.split(size)])
