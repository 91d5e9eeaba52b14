"""Networks over pictures. Layers are read by hooks and compared with the library's report once after loading."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers
from platorep.models.hooks import pooled_outputs
from platorep.models.transforms import picture_transform


if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

PATCH = 16
"""Side in pixels of the square that counts as one token when pictures are packed into batches."""

AGREEMENT = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 2e-2}
"""Largest accepted difference between two readings of the same states, as a share of the length of features."""

INVARIANCE = {torch.float32: 1e-2, torch.float16: 0.1, torch.bfloat16: 0.1}
"""Largest accepted rounding difference between batches of different sizes, as a share of the length of features."""


@dataclass(frozen=True)
class PictureInput:
    """The input of a network: the transform from a picture, and its height and width."""

    transform: Callable[[Image], torch.Tensor]
    size: tuple[int, int]


class PictureNetwork(Layers):
    """A network over pictures, with one pooled vector per layer.

    Subclasses implement the forward pass (`run`), the pooling of outputs (`pool_output`), and the layers that the
    library reports (`reported`). Hooks on `blocks` pool outputs while the network runs, so full states are not
    collected. If they disagree with the report, the report is used instead.

    Args:
        spec: the resolved spec.
        model: the network, on its device, in evaluation mode.
        names: names of the layers in depth order.
        blocks: one module per layer, whose output is the layer; None if only the library's report has the layers.
        inputs: the input of the network.
        device: the device of inputs.
    """

    REPORT = "the library's report"
    """The source of `reported`, for the manifest."""

    pool: str

    def __init__(
        self,
        spec: ModelSpec,
        model: Any,
        names: Sequence[str],
        blocks: Sequence[nn.Module] | None,
        inputs: PictureInput,
        device: torch.device,
    ) -> None:
        super().__init__(tuple(names))
        self.spec, self.model, self.blocks, self.device, self.size = spec, model, blocks, device, inputs.size
        self.transform = picture_transform(inputs.transform, spec.input_size)
        self.tokens_each = max(1, inputs.size[0] * inputs.size[1] // PATCH**2)
        self.dtype = next(model.parameters()).dtype
        self.facts |= {
            "parameters": sum(p.numel() for p in model.parameters()),
            "input": f"{inputs.size[0]} x {inputs.size[1]}",
            "pool": self.pool,
        }

    def run(self, pictures: torch.Tensor) -> Any:
        """Runs the forward pass up to the last block."""
        raise NotImplementedError

    def pool_output(self, output: torch.Tensor) -> torch.Tensor:
        """Pools the output of a block to float32 vectors, shape (batch, width)."""
        raise NotImplementedError

    def reported(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Pooled vectors of the kept layers, from the report of the library."""
        raise NotImplementedError

    @torch.inference_mode()
    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pooled outputs of the kept layers, for pictures (batch, 3, height, width)."""
        pictures = batch.to(self.device, self.dtype, non_blocking=True)
        return Encoded(self.reported(pictures) if self.blocks is None else self.hooked(pictures, self.blocks), {})

    def hooked(self, pictures: torch.Tensor, blocks: Sequence[nn.Module]) -> list[torch.Tensor]:
        """Pooled vectors of the kept layers, taken from the blocks while the network runs."""
        modules = {self.all_layers[i]: blocks[i] for i in self.kept}
        with pooled_outputs(modules, self.pool_output) as outputs:
            self.run(pictures)
        return [outputs[name] for name in self.layers]

    @torch.inference_mode()
    def check(self) -> None:
        """Compares hooks and report on two noise pictures. Called once after the weights are loaded.

        Raises:
            SpecError: the features of a picture depend on the other pictures in its batch.

        Cost: forward passes of five pictures.
        """
        pictures = noise_pictures(self.size).to(self.device, self.dtype)
        features = reported = self.reported(pictures)
        if self.blocks is not None:
            if self._hooks_agree(pictures, self.blocks, reported):
                features = self.hooked(pictures, self.blocks)
            else:
                self.blocks = None
                log.info("%s: its layers are read from %s, which its blocks are not", self.spec.name, self.REPORT)
        self.facts["layers_read_from"] = "its blocks" if self.blocks is not None else self.REPORT
        alone = self.encode(pictures[:1]).features
        for name, single, batched in zip(self.layers, alone, features, strict=True):
            if (moved := difference(single, batched[:1])) > INVARIANCE[self.dtype]:
                raise SpecError(
                    f"{self.spec.name}: a picture's features in {name} differ by {moved:.0%} of their length when "
                    "another picture is beside it. They depend on the batch or on chance (as in a masked autoencoder), "
                    "so that the model cannot be used here. Take an architecture whose layers are deterministic."
                )

    def _hooks_agree(
        self, pictures: torch.Tensor, blocks: Sequence[nn.Module], reported: Sequence[torch.Tensor]
    ) -> bool:
        """Whether pooled outputs of the blocks equal the report of the library."""
        try:
            hooked = self.hooked(pictures, blocks)
        except Exception as error:  # pooling may raise any error for unexpected outputs
            log.debug("%s: its blocks cannot be pooled: %s", self.spec.name, error)
            return False
        return all(difference(a, b) <= AGREEMENT[self.dtype] for a, b in zip(hooked, reported, strict=True))


def noise_pictures(size: tuple[int, int], count: int = 2) -> torch.Tensor:
    """Different pictures of standard normal noise, shape (count, 3, height, width); the same at every call."""
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(0))


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest distance between rows of two matrices, as a share of the row's length in `b`; infinite for other shapes.

    Rows that are non-finite in both matrices count as equal; they are reported when features are written.
    """
    if a.shape != b.shape:
        return float("inf")
    lengths = b.norm(dim=1).clamp_min(1e-30)
    return float(((a - b).norm(dim=1) / lengths).nan_to_num(0.0, posinf=0.0).max())
