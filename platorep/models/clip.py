"""The two towers of open_clip's models, each an encoder of its own: every block's output before the final norm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.hooks import pooled_outputs
from platorep.models.pooling import picture_pool, pool_patches, pool_tokens
from platorep.models.vision import PATCH, PictureTransform, TimmEncoder


if TYPE_CHECKING:
    from PIL.Image import Image


class ClipTextEncoder(Layers):
    """The text tower: tokens up to the end-of-text token, at the tower's fixed context length.

    Args:
        spec: the resolved spec.
        tower: `model.text` of open_clip.
        tokenizer: open_clip's, called with a list of texts.
        device: where inputs go.
    """

    def __init__(
        self, spec: ModelSpec, tower: nn.Module, tokenizer: Callable[..., torch.Tensor], device: torch.device
    ) -> None:
        blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
        if blocks is None:
            raise SpecError(
                f"{spec.name}: open_clip's {type(tower).__name__} has no blocks of its own; load that text model by transformers."
            )
        self.spec, self.tower, self.tokenizer, self.device = spec, tower, tokenizer, device
        self.blocks, self.batch_first = blocks, tower.transformer.batch_first
        self.pool = "mean" if spec.pool == "auto" else spec.pool
        super().__init__(tuple(f"block.{i}" for i in range(len(blocks))))
        self.facts |= {"parameters": sum(p.numel() for p in tower.parameters())}

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing to learn."""

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Token ids at the full context length; tokens up to the end of the text are pooled.

        Raises:
            SpecError: `rules` ask for what this tokenizer cannot do.
            DataError: a text is too long where `rules.overlong` is "error".
        """
        if rules.span == "caption" or rules.max_tokens is not None:
            raise SpecError(
                f"{self.spec.name}: open_clip's tokenizers have neither span=caption nor max_tokens. Leave both out."
            )
        made = []
        for text in texts:
            ids = self.tokenizer([text.text])[0]
            # One more place in the context tells whether the text fills it or overflows it.
            length = self._length(ids)
            longer = self.tokenizer([text.text], context_length=len(ids) + 1)[0]
            truncated = self._length(longer) > len(ids)
            if truncated and rules.overlong == "error":
                raise DataError(
                    f"{self.spec.name}: the text {text.text[:60]!r} has more than {len(ids)} tokens, which is all the model takes. "
                    "Set overlong=truncate, or shorten it."
                )
            made.append(Tokens(ids=ids.tolist(), pooled=[i < length for i in range(len(ids))], truncated=truncated))
        return made

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Pooled outputs of the kept blocks."""
        ids = torch.tensor([tokens.ids for tokens in batch]).to(self.device, non_blocking=True)
        mask = torch.tensor([tokens.pooled for tokens in batch]).to(self.device, non_blocking=True)

        def pool(hidden: torch.Tensor) -> torch.Tensor:
            return pool_tokens(hidden if self.batch_first else hidden.transpose(0, 1), mask, self.pool)

        own = {self.all_layers[i]: self.blocks[i] for i in self.kept}
        with torch.inference_mode(), pooled_outputs(own, pool) as found:
            self.tower(ids)
        return Encoded([found[name] for name in self.layers], {})

    def _length(self, ids: torch.Tensor) -> int:
        """Tokens up to the end of the text: the highest id where the tower pools there, else up to the last that is no padding."""
        if getattr(self.tower, "pool_type", None) == "argmax":
            return int(ids.argmax()) + 1
        return int((ids != self.tower.pad_id).nonzero().max()) + 1


class ClipPictureEncoder(Layers):
    """The picture tower of open_clip's own kind; one that timm makes is a `TimmEncoder` (see `picture_tower`)."""

    def __init__(
        self,
        spec: ModelSpec,
        tower: nn.Module,
        transform: Callable[[Image], torch.Tensor],
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
        if blocks is None:
            raise SpecError(
                f"{spec.name}: open_clip's {type(tower).__name__} is no transformer. Take the same network from timm."
            )
        self.spec, self.tower, self.device = spec, tower, device
        self.transform = PictureTransform(transform, spec.input_size)
        self.blocks, self.batch_first = blocks, tower.transformer.batch_first
        self.pool = picture_pool(spec.pool, True, spec.name)
        self.tokens_each = max(1, size[0] * size[1] // PATCH**2)
        self.dtype = next(tower.parameters()).dtype
        super().__init__(tuple(f"block.{i}" for i in range(len(blocks))))
        self.facts |= {
            "parameters": sum(p.numel() for p in tower.parameters()),
            "input": f"{size[0]} x {size[1]}",
            "pool": self.pool,
        }

    def encode(self, batch: torch.Tensor) -> Encoded:
        """Pooled outputs of the kept blocks, for pictures (batch, 3, height, width)."""
        pool = partial(pool_patches, prefix=1, how=self.pool)
        own = {self.all_layers[i]: self.blocks[i] for i in self.kept}

        def ordered(hidden: torch.Tensor) -> torch.Tensor:
            return pool(hidden if self.batch_first else hidden.transpose(0, 1))

        with torch.inference_mode(), pooled_outputs(own, ordered) as found:
            self.tower(batch.to(self.device, self.dtype, non_blocking=True))
        return Encoded([found[name] for name in self.layers], {})


def picture_tower(spec: ModelSpec, model: Any, device: torch.device) -> ClipPictureEncoder | TimmEncoder:
    """The encoder of an open_clip model's picture tower, with open_clip's own evaluation transform."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    size = model.visual.image_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    if hasattr(model.visual, "trunk"):
        return TimmEncoder(spec, model.visual.trunk, transform, size, device)
    return ClipPictureEncoder(spec, model.visual, transform, size, device)
