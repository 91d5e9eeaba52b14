"""The joint space of open_clip models, in which the model compares pictures and texts, as one layer of each tower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.clip import ClipTextEncoder, picture_size, picture_transform_of
from platorep.models.networks import INVARIANCE, PictureInput, PictureNetwork, difference


JOINT: Final = "joint"
"""The pool that selects the joint space, and the name of its layer."""


class JointPictureEncoder(PictureNetwork):
    """Pictures in the joint space of an open_clip model, shape (batch, embedding width), not normalised.

    Args:
        spec: the resolved spec.
        model: the model with both towers, on its device.
        device: the device of inputs.
    """

    REPORT = "open_clip's encode_image"
    pool = JOINT

    def __init__(self, spec: ModelSpec, model: Any, device: torch.device) -> None:
        inputs = PictureInput(picture_transform_of(model), picture_size(model.visual))
        super().__init__(spec, model, [JOINT], None, inputs, device)

    def reported(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [self.model.encode_image(pictures, normalize=False).float()]


class JointTextEncoder(ClipTextEncoder):
    """Texts in the joint space of an open_clip model, shape (batch, embedding width), not normalised.

    Args:
        spec: the resolved spec.
        model: the model with both towers, on its device.
        tokenizer: open_clip's tokenizer, called with a list of texts.
        device: the device of inputs.
    """

    def __init__(
        self, spec: ModelSpec, model: Any, tokenizer: Callable[..., torch.Tensor], device: torch.device
    ) -> None:
        Layers.__init__(self, (JOINT,))
        self.spec, self.model, self.tower, self.tokenizer, self.device = spec, model, model.text, tokenizer, device
        self.pool, self.padding = JOINT, int(tokenizer([""])[0, -2])
        self.facts |= {"parameters": sum(p.numel() for p in model.text.parameters())}

    @torch.inference_mode()
    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Embeddings of the texts."""
        ids, _ = self._inputs(batch)
        return Encoded([self.model.encode_text(ids, normalize=False).float()], {})

    def check(self) -> None:
        """Compares the embedding of a text alone and in a batch with another text.

        Raises:
            SpecError: they differ.
        """
        batch = self.tokenize([Text.of("a red square"), Text.of("two small green birds on a branch")], TextRules())
        (alone,), (both,) = self.encode(batch[:1]).features, self.encode(batch).features
        if difference(alone, both[:1]) > INVARIANCE[next(self.tower.parameters()).dtype]:
            raise SpecError(
                f"{self.spec.name}: the embedding of a text depends on the other texts in its batch, "
                "so that it cannot be used here."
            )
