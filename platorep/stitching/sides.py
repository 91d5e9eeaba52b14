"""What is stitched: networks as chains of layers, and senders that are controls, on all parts of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import torch

from platorep.stitching.affine import answers
from platorep.training.pictures import Labelled


SELF, SHUFFLED, RANDOM, UNRELATED = "self", "shuffled", "random", "unrelated"
NOISE, PIXELS, PROBE = "noise", "pixels", "probe"
"""Controls: the receiver itself, pairs broken, random weights, another task, noise by class, pixels, sender alone."""

SPREAD = 0.1
"""Standard deviation of the noise around the tensor of a class."""


@dataclass(frozen=True)
class Parts:
    """Pictures that no other part holds: for the fit, for the choice of the penalty, and for the results."""

    fit: Labelled
    select: Labelled
    test: Labelled

    def __iter__(self) -> Iterator[Labelled]:
        return iter((self.fit, self.select, self.test))


class Stitchable(Protocol):
    """A frozen network as a chain of layers: trained here, or pretrained (`stitching.pretrained`).

    Attributes:
        kind: name of its architecture.
        names: of its layers.
        at_once: most inputs per pass.
    """

    @property
    def kind(self) -> str: ...

    names: list[str]
    at_once: int

    def eval(self) -> Any:
        """Sets the evaluation mode, in which statistics of a batch do not count."""

    def requires_grad_(self, requires_grad: bool) -> Any:
        """Freezes the weights, or thaws them."""

    def layers(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of all layers."""

    def top(self, state: torch.Tensor, count: int) -> torch.Tensor:
        """Logits from the output of the first `count` layers."""


class Sender:
    """What is sent: the layers of a network or of a control, on the pictures of all parts.

    Args:
        name: of the model.
        layers: function from a part's pictures and labels to its layers.
        parts: the pictures.
        control: empty for a trained network.
        names: of its layers; numbers if not given.
    """

    def __init__(
        self,
        name: str,
        layers: Callable[[Labelled], list[torch.Tensor]],
        parts: Parts,
        control: str,
        names: Sequence[str] | None = None,
    ) -> None:
        self.name, self.control, self.names, self._layers, self._parts = name, control, names, layers, parts

    @cached_property
    def states(self) -> list[list[torch.Tensor]]:
        """Layers, and of each layer the states of fit, select and test."""
        with torch.no_grad():
            return [list(layer) for layer in zip(*map(self._layers, self._parts), strict=True)]

    def forget(self) -> None:
        """Frees the states, which are the largest part of the memory."""
        self.__dict__.pop("states", None)


class Receiver:
    """A network that receives, with its own layers and answers.

    Args:
        name: of the model.
        network: it, which is frozen.
        width: of its architecture; 0 for pretrained networks.
        parts: the pictures, or the blocks of text.
    """

    def __init__(self, name: str, network: Stitchable, width: int, parts: Parts) -> None:
        network.eval()
        network.requires_grad_(False)
        self.name, self.network, self.width, self.parts = name, network, width, parts

    @cached_property
    def sender(self) -> Sender:
        """The same network as a sender."""
        return Sender(self.name, partial(layers_of, self.network), self.parts, "", self.network.names)

    @cached_property
    def own(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The classes that it says for the test pictures, and its losses."""
        top = partial(self.top, len(self.network.names))
        return answers(top, self.sender.states[-1][2], self.parts.test.labels, self.network.at_once)

    def top(self, count: int, state: torch.Tensor) -> torch.Tensor:
        """Logits from its layer after `count` stages."""
        return self.network.top(state, count)


@torch.no_grad()
def layers_of(network: Stitchable, part: Labelled) -> list[torch.Tensor]:
    """The layers of a network on the pictures of a part."""
    return network.layers(part.inputs)


def class_noise(shapes: Sequence[Sequence[int]], classes: int, seed: int, part: Labelled) -> list[torch.Tensor]:
    """A sender that knows the class and nothing else, in the shapes of a network's layers.

    One uniform random tensor per class and layer, the same for all parts, plus Gaussian noise, clamped to [0, 1] (after
    Functional Alignment Can Mislead, ICML 2025). Of tokens, the class is the next one, and each has its own tensor.
    """
    layers = []
    for number, shape in enumerate(shapes):
        each = shape[part.labels.ndim - 1 :]
        centres = torch.rand(classes, *each, generator=torch.Generator().manual_seed(seed + number))
        generator = torch.Generator().manual_seed(seed + 1000 * (number + 1) + len(part))
        noise = SPREAD * torch.randn(len(part), *shape, generator=generator)
        layers.append((centres[part.labels] + noise).clamp_(0, 1))
    return layers


def pictures_as_layer(like: torch.Tensor, part: Labelled) -> list[torch.Tensor]:
    """The pictures themselves as one layer: a vector, a map, or tokens of patches, as the receiver's layers are."""
    if like.ndim == 3:
        step = round(part.inputs.shape[-1] / like.shape[1] ** 0.5)
        return [torch.nn.functional.unfold(part.inputs, step, stride=step).transpose(1, 2)]
    return [part.inputs if like.ndim == 4 else part.inputs.flatten(1)]
