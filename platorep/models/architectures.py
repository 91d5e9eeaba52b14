"""The class of the transformers library for a checkpoint, and the part of the model that reads text."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from platorep.core.errors import SpecError


DECODERS = ("ForCausalLM", "LMHeadModel")
"""Suffixes of class names of decoders with the head of a language model."""


def auto_class(config: Any) -> Any:
    """The automatic class of transformers that loads the part of a model that computes features.

    Decoders are loaded with their head, and models with several parts as a whole, because the names of tensors in the
    checkpoint refer to the whole model. Of models like T5, only the encoder is loaded.

    Args:
        config: the checkpoint's config.
    """
    import transformers
    from transformers.models.auto import modeling_auto as known

    kind, saved_as = type(config), (getattr(config, "architectures", None) or [""])[0]
    of_t5 = getattr(config, "is_encoder_decoder", False) and config.model_type in ("t5", "mt5", "umt5")
    if (of_t5 or saved_as.endswith("EncoderModel")) and kind in known.MODEL_FOR_TEXT_ENCODING_MAPPING:
        return transformers.AutoModelForTextEncoding
    by_own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if by_own_code or (saved_as.endswith(DECODERS) and kind in known.MODEL_FOR_CAUSAL_LM_MAPPING):
        return transformers.AutoModelForCausalLM
    for task, auto in {
        "CAUSAL_LM": "AutoModelForCausalLM",
        "SEQ_TO_SEQ_CAUSAL_LM": "AutoModelForSeq2SeqLM",
        "IMAGE_TEXT_TO_TEXT": "AutoModelForImageTextToText",
        "MULTIMODAL_LM": "AutoModelForMultimodalLM",
    }.items():
        names = getattr(known, f"MODEL_FOR_{task}_MAPPING_NAMES", {})
        if names.get(config.model_type) == saved_as and kind in getattr(known, f"MODEL_FOR_{task}_MAPPING"):
            return getattr(transformers, auto)
    return transformers.AutoModel


def _decoder(model: Any) -> nn.Module:
    """The innermost model below a head. Some classes call a layer "decoder", or have a decoder with its own head."""
    from transformers import PreTrainedModel

    inner = model.get_decoder()
    if inner is model or not isinstance(inner, PreTrainedModel):
        inner = next((child for child in model.children() if isinstance(child, PreTrainedModel)), model)
    return inner if inner is model or inner.get_output_embeddings() is None else _decoder(inner)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int)


def reported_states(output: Any) -> list[torch.Tensor]:
    """The hidden states of an output; of a state that is a tuple, the first element."""
    return [state[0] if isinstance(state, tuple) else state for state in getattr(output, "hidden_states", None) or ()]


def last_states(output: Any) -> torch.Tensor:
    """The states that a head is applied to."""
    final = getattr(output, "last_hidden_state", None)
    return reported_states(output)[-1] if final is None else final


@dataclass(frozen=True)
class TextPart:
    """The part of a model that reads text.

    Attributes:
        body: from token ids to hidden states.
        head: from the last states to logits; None where the model gives no probabilities.
        whole: the model around both; the body itself where there is no head.
        label: the role of the body: "model", "encoder" or "language model".
        config: the config of the body.
    """

    body: nn.Module
    head: nn.Module | None
    whole: Any
    label: str
    config: Any

    @classmethod
    def of(cls, model: Any) -> TextPart:
        """The encoder of an encoder-decoder, the language model of a model with several parts, else the base model."""
        if model.config.is_encoder_decoder:
            encoder = model.get_encoder()
            return cls(encoder, None, encoder, "encoder", getattr(encoder, "config", model.config))
        head = model.get_output_embeddings()
        config = model.config.get_text_config(decoder=True)
        label = "model" if config is model.config else "language model"
        if head is None and label != "model" and model.can_generate():
            raise SpecError(
                f"{type(model).__name__} does not say where the head of its language model is, so that its text part "
                "cannot be told from the rest. Give a causal language model or a text encoder."
            )
        body = _decoder(model) if head is not None or label != "model" else model
        return cls(body, head, body if head is None else model, label, config)

    def modules(self) -> nn.Module:
        """The model without parts that do not read text: body and head."""
        return self.whole if self.label == "model" else nn.ModuleList(filter(None, [self.body, self.head]))

    def vocabulary(self) -> int:
        """Rows of the input embeddings: every token id must be smaller."""
        try:
            table = self.whole.get_input_embeddings()
            return len(getattr(table, "weight", table))
        except (AttributeError, NotImplementedError, TypeError):
            if size := getattr(self.config, "vocab_size", None):
                return size
            raise SpecError(
                f"{type(self.body).__name__} has no embeddings of tokens: it does not read text. "
                "Give a causal language model, a text encoder or an encoder-decoder for text."
            ) from None

    def ordinary_ids(self, tokenizer: Any) -> list[int]:
        """Ids of ordinary tokens: neither special tokens of the tokenizer nor ids that the config mentions."""
        rows = self.vocabulary()
        settings = {**getattr(self.whole, "config", self.config).to_dict(), **self.config.to_dict()}
        named = [value for key, value in settings.items() if key.endswith(("token_id", "token_index"))]
        special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder, *filter(_is_integer, named)}
        ordinary = [i for i in range(min(rows, len(tokenizer))) if i not in special]
        return ordinary if len(ordinary) > 1 else list(range(rows))

    @property
    def takes_mask(self) -> bool:
        """Whether the body accepts an attention mask."""
        return "attention_mask" in inspect.signature(self.body.forward).parameters

    def run(self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, states: bool = False) -> Any:
        """The body's output.

        Args:
            ids: token ids, (batch, tokens).
            mask: 0 for padding, 1 for other tokens.
            states: whether the output must have `hidden_states`.
        """
        options: dict[str, Any] = {"output_hidden_states": True} if states else {}
        accepted = inspect.signature(self.body.forward).parameters
        if "use_cache" in accepted or (self.head is not None and "kwargs" in accepted):
            options["use_cache"] = False
        if mask is not None and self.takes_mask:
            options["attention_mask"] = mask
        return self.body(input_ids=ids, **options)

    def states(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> list[torch.Tensor]:
        """The hidden states that the body reports."""
        return reported_states(self.run(ids, mask, states=True))

    def logits(self, states: torch.Tensor, kind: type) -> torch.Tensor:
        """The float32 logits that the whole model computes from the last states of the body.

        They include any scaling, capping and further layers before the head.

        Args:
            states: (positions, width).
            kind: the class of the body's output.

        Returns:
            (positions, vocabulary).
        """
        answer = kind(last_hidden_state=states[None])
        before = vars(self.body).get("forward")  # set by accelerate, if it moves weights or inputs
        self.body.forward = lambda *_, **__: answer
        try:
            ids = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
            return self.whole(input_ids=ids, use_cache=False).logits[0].float()
        finally:
            del self.body.forward
            if before is not None:
                self.body.forward = before

    def run_whole(self, ids: torch.Tensor) -> Any:
        """The output of the model with its head and hidden states; the output of the body if there is no head."""
        if self.head is None:
            return self.run(ids, states=True)
        return self.whole(input_ids=ids, output_hidden_states=True, use_cache=False)
