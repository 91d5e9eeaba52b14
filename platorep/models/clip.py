"""The towers of open_clip models as separate encoders. Layers are the outputs of blocks before the final norm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.hooks import pooled_outputs
from platorep.models.networks import AGREEMENT, PictureInput, PictureNetwork, difference, noise_pictures
from platorep.models.pooling import picture_pool, pool_patches, pool_space, pool_tokens
from platorep.models.vision import TimmEncoder, token_layout


if TYPE_CHECKING:
    from PIL.Image import Image


class ClipTextEncoder(Layers):
    """The text tower at its fixed context length; only tokens of the text are pooled.

    Args:
        spec: the resolved spec.
        tower: `model.text` of open_clip.
        tokenizer: open_clip's tokenizer, called with a list of texts.
        device: the device of inputs.
    """

    def __init__(
        self, spec: ModelSpec, tower: nn.Module, tokenizer: Callable[..., torch.Tensor], device: torch.device
    ) -> None:
        blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
        if blocks is None:
            raise SpecError(
                f"{spec.name}: open_clip's {type(tower).__name__} has no blocks of its own; "
                "load that text model by transformers."
            )
        self.spec, self.tower, self.tokenizer, self.device = spec, tower, tokenizer, device
        self.blocks, self.batch_first = blocks, tower.get_submodule("transformer").batch_first
        self.pool = "mean" if spec.pool == "auto" else spec.pool
        self.padding = int(tokenizer([""])[0, -2])
        super().__init__(tuple(f"block.{i}" for i in range(len(blocks))))
        self.facts |= {"parameters": sum(p.numel() for p in tower.parameters())}

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing to learn."""

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Token ids at the full context length; tokens up to the end of the text are pooled.

        Raises:
            SpecError: the tokenizer does not support `rules`.
            DataError: a text is too long and `rules.overlong` is "error".
        """
        if rules.span == "caption" or rules.max_tokens is not None:
            raise SpecError(
                f"{self.spec.name}: open_clip's tokenizers have neither span=caption nor max_tokens. Leave both out."
            )
        tokens = []
        for text in texts:
            ids = self.tokenizer([text.text])[0]
            # One more position in the context shows whether the text fills it or overflows it.
            longer = self.tokenizer([text.text], context_length=len(ids) + 1)[0]
            pooled = self._own_tokens(ids)
            truncated = sum(self._own_tokens(longer)) > sum(pooled)
            if truncated and rules.overlong == "error":
                raise DataError(
                    f"{self.spec.name}: the text {text.text[:60]!r} has more than {len(ids)} tokens, which is all the "
                    "model takes. Set overlong=truncate, or shorten it."
                )
            tokens.append(Tokens(ids=ids.tolist(), pooled=pooled, truncated=truncated))
        return tokens

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Pooled outputs of the kept blocks."""
        ids, mask = self._inputs(batch)

        def pool(hidden: torch.Tensor) -> torch.Tensor:
            states = hidden if self.batch_first else hidden.transpose(0, 1)
            # CoCa appends a token to the text
            return pool_tokens(states[:, : mask.shape[1]], mask, self.pool)

        modules = {self.all_layers[i]: self.blocks[i] for i in self.kept}
        with torch.inference_mode(), pooled_outputs(modules, pool) as outputs:
            self.tower(ids)
        return Encoded([outputs[name] for name in self.layers], {})

    @torch.inference_mode()
    def check(self) -> None:
        """Compares the features of two texts with those from the intermediate states that open_clip returns.

        Raises:
            SpecError: they differ.
        """
        batch = self.tokenize([Text.of("a red square"), Text.of("two small green birds on a branch")], TextRules())
        ids, mask = self._inputs(batch)
        tower: Any = self.tower  # whose class is one of open_clip's
        states = tower.forward_intermediates(ids, intermediates_only=True, output_fmt="NLC")["text_intermediates"]
        for name, features, state in zip(self.layers, self.encode(batch).features, states, strict=True):
            if difference(features, pool_tokens(state, mask, self.pool)) > AGREEMENT[state.dtype]:
                raise SpecError(
                    f"{self.spec.name}: the output of {name} is not the state that open_clip's "
                    f"{type(self.tower).__name__} reports, so that its features cannot be trusted. "
                    "Load that text model by transformers."
                )

    def _inputs(self, batch: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.tensor([tokens.ids for tokens in batch]).to(self.device, non_blocking=True)
        return ids, torch.tensor([tokens.pooled for tokens in batch]).to(self.device, non_blocking=True)

    def _own_tokens(self, ids: torch.Tensor) -> list[bool]:
        """Which tokens belong to the text: those up to the highest id, if the tower pools there, else all but padding.

        CLIP's tokenizer pads with the id of the exclamation mark, so padding is identified by its position.
        """
        if getattr(self.tower, "pool_type", None) == "argmax":
            last = int(ids.argmax())
            return [i <= last for i in range(len(ids))]
        is_text = (ids != self.padding).tolist()
        return is_text if any(is_text) else [i == 0 for i in range(len(ids))]


class ClipPictureEncoder(PictureNetwork):
    """A picture tower implemented by open_clip, transformer or ResNet; towers from timm are `TimmEncoder`s."""

    REPORT = "open_clip's forward_intermediates"

    def __init__(
        self,
        spec: ModelSpec,
        tower: nn.Module,
        transform: Callable[[Image], torch.Tensor],
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        if not hasattr(tower, "forward_intermediates"):
            raise SpecError(
                f"{spec.name}: open_clip's {type(tower).__name__} has no forward_intermediates. "
                "Take the same network from timm."
            )
        maps, prefixes = intermediates(tower, noise_pictures(size, 1).to(device, next(tower.parameters()).dtype))
        self.pool = picture_pool(spec.pool, bool(prefixes), spec.name)
        blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
        self.batch_first = blocks is None or tower.get_submodule("transformer").batch_first
        kind = "stage" if blocks is None else "block"
        super().__init__(
            spec, tower, [f"{kind}.{i}" for i in range(len(maps))], blocks, PictureInput(transform, size), device
        )

    def run(self, pictures: torch.Tensor) -> None:
        self.model(pictures)

    def pool_output(self, output: torch.Tensor) -> torch.Tensor:
        return pool_patches(output if self.batch_first else output.transpose(0, 1), 1, self.pool)

    def reported(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        maps, prefixes = intermediates(self.model, pictures)
        if self.pool == "cls":
            return [prefixes[i][:, 0].float() for i in self.kept]
        return [pool_space(maps[i], self.pool) for i in self.kept]


@torch.inference_mode()
def intermediates(tower: Any, pictures: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Maps (batch, channels, height, width) of every layer of a picture tower, and its class tokens; [] without one."""
    outputs = tower.forward_intermediates(pictures, intermediates_only=True, output_extra_tokens=True)
    return outputs["image_intermediates"], outputs.get("image_intermediates_prefix", [])


def picture_tower(spec: ModelSpec, model: Any, device: torch.device) -> ClipPictureEncoder | TimmEncoder:
    """The encoder of an open_clip model's picture tower, with the evaluation transform of open_clip."""
    transform, size = picture_transform_of(model), picture_size(model.visual)
    if hasattr(model.visual, "trunk"):
        return TimmEncoder(spec, model.visual.trunk, transform, size, device)
    return ClipPictureEncoder(spec, model.visual, transform, size, device)


def picture_transform_of(model: Any) -> Callable[[Image], torch.Tensor]:
    """The evaluation transform of an open_clip model."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)


def tower_has_class_token(config: Mapping[str, Any]) -> bool:
    """Whether every layer of the picture tower of an open_clip config has a class token.

    Args:
        config: `model_cfg` of an open_clip config. The text tower is not built.
    """
    import open_clip

    text = {"context_length": 8, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}
    more = {"quick_gelu": config.get("quick_gelu", False)}
    with torch.device("meta"):
        model = open_clip.CustomTextCLIP(
            embed_dim=config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=text, **more
        ).eval()
        if hasattr(model.visual, "trunk"):
            return token_layout(model.visual.trunk, picture_size(model.visual)).has_class_token
        return bool(intermediates(model.visual, noise_pictures(picture_size(model.visual), 1).to("meta"))[1])


def picture_size(tower: Any) -> tuple[int, int]:
    """Height and width of the pictures that a tower takes."""
    return (tower.image_size, tower.image_size) if isinstance(tower.image_size, int) else tuple(tower.image_size)
