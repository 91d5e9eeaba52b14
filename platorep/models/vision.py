"""Encoders of pictures: timm models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.networks import PictureInput, PictureNetwork, noise_pictures
from platorep.models.pooling import picture_pool, pool_patches, pool_space


if TYPE_CHECKING:
    from PIL.Image import Image


class TokenLayout(NamedTuple):
    """Positions of tokens that are not patches in the layers of a timm model, determined from its outputs.

    Attributes:
        has_class_token: whether token 0 of every layer is a class token.
        prefix: number of tokens before the patches in the outputs of blocks; None if these are not the tokens of
            layers.
    """

    has_class_token: bool
    prefix: int | None


class TimmEncoder(PictureNetwork):
    """A timm model. Layers are the blocks of a transformer, or the stages of a network that changes resolution.

    Transformers whose blocks keep the width are pooled in hooks, before the final norm. All others use timm's
    `forward_intermediates`, which returns maps in a common layout.

    Args:
        spec: the resolved spec.
        model: the model, on its device, in evaluation mode.
        transform: converts a picture to the model's input.
        size: height and width of the input.
        device: the device of inputs.

    Raises:
        SpecError: timm does not report the layers of this architecture, or the model does not support the pool.
    """

    REPORT = "timm's forward_intermediates"

    def __init__(
        self,
        spec: ModelSpec,
        model: Any,
        transform: Callable[[Image], torch.Tensor],
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        if not hasattr(model, "forward_intermediates"):
            raise SpecError(
                f"{spec.name}: timm's {type(model).__name__} has no forward_intermediates; "
                "choose an architecture that has."
            )
        layout = token_layout(model, size)
        self.pool, self.prefix = picture_pool(spec.pool, layout.has_class_token, spec.name), layout.prefix or 0
        blocks = isotropic_blocks(model)
        if blocks is None:
            names = [f"stage.{i}" for i in range(len(model.feature_info))]
            model.to(memory_format=torch.channels_last)
        else:
            names = [f"block.{i}" for i in range(len(blocks))]
        self.format = torch.channels_last if blocks is None else torch.contiguous_format
        blocks = None if layout.prefix is None else blocks
        super().__init__(spec, model, names, blocks, PictureInput(transform, size), device)

    def run(self, pictures: torch.Tensor) -> None:
        self.model.forward_features(pictures)

    def pool_output(self, output: torch.Tensor) -> torch.Tensor:
        return pool_patches(output, self.prefix, self.pool)

    def reported(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        pictures = pictures.contiguous(memory_format=self.format)
        more = {"return_prefix_tokens": True} if self.pool == "cls" else {}
        maps = self.model.forward_intermediates(pictures, indices=list(self.kept), intermediates_only=True, **more)
        if self.pool == "cls":
            return [prefix[:, 0].float() for _, prefix in maps]
        return [pool_space(layer, self.pool) for layer in maps]


@torch.inference_mode()
def token_layout(model: Any, size: tuple[int, int]) -> TokenLayout:
    """The layout of the tokens of a timm model, from the shapes of its outputs for one picture.

    A class token counts if timm reports prefix tokens of every layer. The attribute alone does not suffice, because the
    class token may join the patches in a later block (CaiT, XCiT, ConViT) or a stage (PiT, VOLO). Works on the meta
    device.

    Args:
        model: the model, in evaluation mode.
        size: height and width of its input.
    """
    weight = next(model.parameters())
    outputs: dict[int, torch.Size] = {}
    blocks = isotropic_blocks(model)
    signature = inspect.signature(model.forward_intermediates).parameters
    named = bool(getattr(model, "num_prefix_tokens", 0)) and "return_prefix_tokens" in signature
    if blocks is None and not named:
        return TokenLayout(has_class_token=False, prefix=None)
    handles = [
        block.register_forward_hook(lambda _module, _args, output, i=i: outputs.update({i: _shape(output)}))
        for i, block in enumerate(blocks if blocks is not None else ())
    ]
    try:
        picture = noise_pictures(size, 1).to(weight.device, weight.dtype)
        with torch.device(weight.device):
            more = {"return_prefix_tokens": True} if named else {}
            layers = model.forward_intermediates(picture, intermediates_only=True, **more)
    finally:
        for handle in handles:
            handle.remove()
    maps = [layer[0] if isinstance(layer, tuple) else layer for layer in layers]
    prefixes = [layer[1] if isinstance(layer, tuple) else None for layer in layers]
    carried = all(prefix is not None and prefix.shape[1] > 0 for prefix in prefixes)
    counts = {
        outputs[i][1] - layer.shape[2] * layer.shape[3] if len(outputs.get(i, ())) == 3 else None
        for i, layer in enumerate(maps)
    }
    prefix = counts.pop() if len(counts) == 1 else None
    return TokenLayout(carried and names_class_token(model), prefix if prefix is None or prefix >= 0 else None)


def _shape(output: Any) -> torch.Size:
    first = output[0] if isinstance(output, (tuple, list)) else output
    return first.shape


def names_class_token(model: Any) -> bool:
    """Whether the first prefix token of a timm model is a class token instead of a register."""
    stated = getattr(model, "has_class_token", None)
    return stated if stated is not None else getattr(model, "cls_token", None) is not None


def isotropic_blocks(model: Any) -> Sequence[nn.Module] | None:
    """The blocks of a transformer with a constant number and width of tokens; None for other networks."""
    blocks = getattr(model, "blocks", None)
    return (
        blocks
        if blocks is not None and hasattr(model, "num_prefix_tokens") and hasattr(model, "forward_features")
        else None
    )
