"""Pretrained networks as chains of layers: a module's output is replaced by that of a sender, through a map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from platorep.core.errors import DataError, SpecError
from platorep.models.language import LanguageEncoder
from platorep.models.vision import TimmEncoder, isotropic_blocks
from platorep.training.networks import batched
from platorep.training.pictures import Labelled


MOST_LAYERS = 5
"""Largest number of layers of a network; of more blocks, evenly spaced ones."""

TOKENS = 32
"""Tokens per text block: each but the last predicts the next one."""

BLOCKS_AT_ONCE, PICTURES_AT_ONCE = 16, 32
"""Text blocks and pictures per forward pass."""

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for the inverse strength of the classifier's penalty (scikit-learn's C)."""


class Spliced(nn.Module):
    """A pretrained network whose layers are read, and replaced, at the outputs of modules.

    The part below a replaced layer runs on blank input, so that nothing of a test item reaches the logits but through
    the layer. Blocks below it are skipped. Several threads can use one network at a time.

    Args:
        kind: name of the architecture in tables.
        model: the network, frozen and in evaluation mode.
        modules: by the name of the layer, in depth order; the output (the first of a tuple) is the layer.
        logits: from inputs to logits, (batch, classes) or (batch, classes, tokens).
        blank: blank inputs, given their number.
        at_once: inputs per forward pass.
        blocks: modules in a row, each of which keeps the shape of its input; empty where the shape changes.
    """

    def __init__(
        self,
        kind: str,
        model: nn.Module,
        modules: dict[str, nn.Module],
        logits: Callable[[torch.Tensor], torch.Tensor],
        blank: Callable[[int], torch.Tensor],
        at_once: int,
        blocks: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.kind, self.model, self.names, self.at_once = kind, model, list(modules), at_once
        self.logits, self.blank = logits, blank
        self._now = threading.local()
        for number, module in enumerate(modules.values()):
            module.register_forward_hook(self._hook(number))
        places = {id(block): place for place, block in enumerate(blocks)}
        self._skipped = [places.get(id(module), -1) + 1 for module in modules.values()]
        for place, block in enumerate(blocks):
            block.forward = self._unless_skipped(place, block.forward)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The network's own logits."""
        return self.logits(inputs)

    @torch.no_grad()
    def layers(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of all layers, float32."""
        parts = []
        for part in inputs.split(self.at_once):
            self._now.read = {}
            try:
                self.logits(part)
                parts.append([self._now.read[number] for number in range(len(self.names))])
            finally:
                self._now.read = None
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]

    def top(self, state: torch.Tensor, count: int) -> torch.Tensor:
        """Logits from the output of the first `count` layers."""
        self._now.given, self._now.skipped = (count - 1, state), self._skipped[count - 1]
        try:
            return self.logits(self.blank(len(state)))
        finally:
            self._now.given, self._now.skipped = None, 0

    def _unless_skipped(self, place: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The forward pass of a block, or its input in the form of its output where the block is skipped."""
        in_tuple: bool | None = None

        def run(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            nonlocal in_tuple
            if in_tuple is None or place >= getattr(self._now, "skipped", 0):
                output = forward(hidden_states, *args, **kwargs)
                in_tuple = isinstance(output, tuple)
                return output
            return (hidden_states,) if in_tuple else hidden_states

        return run

    def _hook(self, number: int) -> Callable[..., Any]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
            first = output[0] if isinstance(output, tuple) else output
            if (read := getattr(self._now, "read", None)) is not None:
                read[number] = first.detach().float().cpu().clone()
            given = getattr(self._now, "given", None)
            if given is None or given[0] != number:
                return None
            state = given[1].to(first.device, first.dtype)
            return (state, *output[1:]) if isinstance(output, tuple) else state

        return hook


def language_network(encoder: LanguageEncoder) -> Spliced:
    """A causal language model: layers are the outputs of blocks, logits are those of the next token.

    Raises:
        SpecError: the model gives no probabilities of next tokens, or its blocks cannot be told.
    """
    blocks, name = encoder.blocks, encoder.spec.name
    if not encoder.scores or blocks is None:
        reason = "gives no probabilities of next tokens" if blocks is not None else "has no list of blocks"
        raise SpecError(f"{name} {reason}: it cannot be stitched. Take causal language models of transformers.")
    chosen = {f"block.{i}": blocks[i] for i in spaced(len(blocks))}

    def logits(ids: torch.Tensor) -> torch.Tensor:
        output = encoder.part.whole(input_ids=ids.to(encoder.device), use_cache=False)
        return output.logits.float().cpu().transpose(1, 2)

    def blank(count: int) -> torch.Tensor:
        return torch.full((count, TOKENS - 1), encoder.pad)

    body = cast(nn.Module, encoder.model)
    return Spliced(encoder.spec.family or name, body, chosen, logits, blank, BLOCKS_AT_ONCE, list(blocks))


def vision_network(encoder: TimmEncoder) -> Spliced:
    """A vision model of timm, whose logits are its features until `classified` gives it a classifier.

    Raises:
        SpecError: timm does not name the modules of its layers.
    """
    model, spec = encoder.model, encoder.spec
    names = [info.get("module", "") for info in getattr(model, "feature_info", ())]
    if not names or not all(names):
        raise SpecError(f"{spec.name}: timm names no modules of its layers, so that they cannot be replaced.")
    chosen = {names[i]: model.get_submodule(names[i]) for i in spaced(len(names))}

    def features(pictures: torch.Tensor) -> torch.Tensor:
        return model.forward_head(model.forward_features(pictures.to(encoder.device)), pre_logits=True).float().cpu()

    blank = _blank_pictures(encoder.size, features)
    same = isotropic_blocks(model) or ()
    return Spliced(spec.family or spec.name, model, chosen, features, blank, PICTURES_AT_ONCE, same)


def classified(network: Spliced, fit: Labelled, select: Labelled) -> None:
    """Gives a vision model a linear classifier of a dataset's classes, read from its features.

    Multinomial logistic regression on standardised features with an L2 penalty, of which the strength with the most
    accurate answers on `select` is kept (the strongest of equal ones).

    Args:
        network: a network whose logits are its features; changed in place.
        fit: pictures on which the classifier is fitted, three classes or more, each of which occurs.
        select: pictures for the choice.
    """
    from sklearn.linear_model import LogisticRegression

    features = network.logits
    with torch.no_grad():
        x, x_select = (batched(features, part.inputs, network.at_once).double().numpy() for part in (fit, select))
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    candidates = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=2000).fit((x - mean) / scale, fit.labels.numpy())
        right = float(np.mean(model.predict((x_select - mean) / scale) == select.labels.numpy()))
        candidates.append((right, model))
    _, model = max(candidates, key=lambda candidate: candidate[0])  # the first of equal ones
    weight = model.coef_ / scale
    bias = model.intercept_ - weight @ mean
    head = nn.Linear(*weight.shape[::-1])
    head.weight.data, head.bias.data = (torch.from_numpy(values).float() for values in (weight, bias))
    head.requires_grad_(False)
    network.logits = lambda pictures: head(features(pictures))


def text_blocks(encoder: LanguageEncoder, texts: Sequence[str]) -> Labelled:
    """Texts as blocks of `TOKENS` tokens, joined by line breaks; the label of a token is the next one.

    Raises:
        DataError: the texts have less than two blocks.
    """
    ids = encoder.tokenizer("\n".join(texts), add_special_tokens=False, verbose=False)["input_ids"]
    count = len(ids) // TOKENS
    if count < 2:
        raise DataError(f"{len(texts)} texts have {len(ids)} tokens; expected at least {2 * TOKENS}. Take more texts.")
    blocks = torch.tensor(ids[: count * TOKENS]).reshape(count, TOKENS)
    return Labelled(blocks[:, :-1].contiguous(), blocks[:, 1:].contiguous(), [str(i) for i in range(encoder.rows)])


def spaced(count: int) -> list[int]:
    """Indices of at most `MOST_LAYERS` of `count` layers, evenly spaced; the last one is among them."""
    few = min(count, MOST_LAYERS)
    return [round((i + 1) * count / few) - 1 for i in range(few)]


def _blank_pictures(
    size: tuple[int, int], features: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[int], torch.Tensor]:
    """Black pictures: as small as the network takes them, because their content does not count."""
    for side in (32, 64, 128):
        try:
            with torch.no_grad():
                features(torch.zeros(1, 3, side, side))
        except (RuntimeError, AssertionError, ValueError):
            continue
        size = (side, side)
        break
    return lambda count: torch.zeros(count, 3, *size)
