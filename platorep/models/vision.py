"""Pictures in, pooled block outputs out: timm's models, and 16 x 16 pixels as a baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers
from platorep.models.degrade import reduce_picture
from platorep.models.hooks import pooled_outputs
from platorep.models.pooling import picture_pool, pool_patches, pool_space


if TYPE_CHECKING:
    from PIL.Image import Image

PATCH = 16
"""Side of the square of pixels that counts as one token when pictures are packed into batches."""


@dataclass(frozen=True)
class PictureTransform:
    """How a picture becomes an input; small, so that it can be sent to worker processes.

    Attributes:
        to_input: the model's own evaluation transform.
        reduce_to: shorter side, in pixels, that pictures are reduced to before it; None leaves them alone.
    """

    to_input: Callable[[Image], torch.Tensor]
    reduce_to: int | None

    def __call__(self, picture: Image) -> torch.Tensor:
        picture = picture.convert("RGB")
        return self.to_input(picture if self.reduce_to is None else reduce_picture(picture, self.reduce_to))


class TimmEncoder(Layers):
    """A timm model: every block of a transformer, every stage of a network that changes resolution.

    Transformers whose blocks keep one width are pooled inside hooks, before the final norm; all others go through timm's
    `forward_intermediates`, which brings their maps into one layout.

    Args:
        spec: the resolved spec.
        model: the model, on its device, in evaluation mode.
        transform: from a picture to the model's input.
        size: height and width of the input.
        device: where inputs go.
    """

    def __init__(
        self,
        spec: ModelSpec,
        model: nn.Module,
        transform: Callable[[Image], torch.Tensor],
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.spec, self.model, self.device = spec, model, device
        self.transform = PictureTransform(transform, spec.input_size)
        self.pool = picture_pool(spec.pool, has_class_token(model), spec.name)
        self.blocks = isotropic_blocks(model)
        if self.blocks is None and not hasattr(model, "forward_intermediates"):
            raise SpecError(
                f"{spec.name}: timm's {type(model).__name__} has no forward_intermediates; choose an architecture that has."
            )
        self.tokens_each = max(1, size[0] * size[1] // PATCH**2)
        self.dtype = next(model.parameters()).dtype
        if self.blocks is not None:
            names = [f"block.{i}" for i in range(len(self.blocks))]
        else:
            names = [f"stage.{i}" for i in range(len(model.feature_info))]
            model.to(memory_format=torch.channels_last)
        super().__init__(tuple(names))
        self.facts |= {
            "parameters": sum(p.numel() for p in model.parameters()),
            "input": f"{size[0]} x {size[1]}",
            "pool": self.pool,
        }

    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pooled outputs of the kept blocks or stages, for pictures (batch, 3, height, width)."""
        with torch.inference_mode():
            pictures = batch.to(self.device, self.dtype, non_blocking=True)
            if self.blocks is None:
                pictures = pictures.contiguous(memory_format=torch.channels_last)
                maps = self.model.forward_intermediates(pictures, indices=list(self.kept), intermediates_only=True)
                return Encoded([pool_space(one, self.pool) for one in maps], {})
            own = {self.all_layers[i]: self.blocks[i] for i in self.kept}
            pool = partial(pool_patches, prefix=getattr(self.model, "num_prefix_tokens", 0), how=self.pool)
            with pooled_outputs(own, pool) as found:
                self.model.forward_features(pictures)
            return Encoded([found[name] for name in self.layers], {})


class PixelEncoder(Layers):
    """The picture itself, reduced to 16 x 16 RGB values in [0, 1]: what a model must beat to have understood anything."""

    tokens_each = 16

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(("pixels",))
        self.spec, self.device = spec, device
        self.transform = PictureTransform(small_pixels, spec.input_size)
        self.facts |= {"parameters": 0}

    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pixels as vectors, (batch, 768)."""
        return Encoded([batch.to(self.device).flatten(1).float()], {})


def small_pixels(picture: Image, side: int = 16) -> torch.Tensor:
    """A picture's pixels after bicubic reduction of the whole of it, shape (3, side, side), values in [0, 1]."""
    from PIL.Image import Resampling
    from torchvision.transforms.functional import to_tensor

    return to_tensor(picture.resize((side, side), Resampling.BICUBIC))


def has_class_token(model: Any) -> bool:
    """Whether token 0 of a timm model is a class token."""
    stated = getattr(model, "has_class_token", None)
    return stated if stated is not None else getattr(model, "cls_token", None) is not None


def isotropic_blocks(model: Any) -> nn.Module | None:
    """The blocks of a transformer whose tokens keep their number and width, or None for any other network."""
    blocks = getattr(model, "blocks", None)
    return (
        blocks
        if blocks is not None and hasattr(model, "num_prefix_tokens") and hasattr(model, "forward_features")
        else None
    )
