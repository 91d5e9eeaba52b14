"""Determines how a language model works by running it on short texts, whatever its name.

A class name does not say whether attention is causal, whether padding affects a text, or which modules return the
hidden states. Two texts of a few random tokens show it: the longer one begins like the shorter one but differs in the
token at the end of the shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from platorep.core.errors import PlatorepError, SpecError
from platorep.models.architectures import TextPart, last_states, reported_states


SHORT, LONG = 8, 12
"""Numbers of tokens of the two texts."""

Company = Literal["padded", "equal", "alone"]
"""Texts that can share a batch: all, those of equal length, or none."""


@dataclass(frozen=True)
class Nature:
    """Properties of a model that were found by running it.

    Attributes:
        states: number of reported hidden states: the embedding output, and one per block.
        blocks: the modules that return them; None if no list of modules does, so that the model has to report them.
        normed: whether the last state is the output of the final norm instead of the last block.
        causal: whether the states of a token do not depend on later tokens.
        company: texts that can share a batch without changing each other's states.
        positions: size of the table of positions; None if the model has no such table.
        ids: the short text, (1, tokens).
        final: the last states of the short text, (1, tokens, width).
        output: the class of the body's output.
        logits: the model's own logits of the short text, (1, tokens, vocabulary); None without a head.
    """

    states: int
    blocks: nn.ModuleList | None
    normed: bool
    causal: bool
    company: Company
    positions: int | None
    ids: torch.Tensor
    final: torch.Tensor
    output: type
    logits: torch.Tensor | None

    def names(self) -> tuple[str, ...]:
        """Names of the layers: "embedding", "block.0", …, or "state.0", … if `blocks` is None."""
        if self.blocks is None:
            return tuple(f"state.{i}" for i in range(self.states))
        last = self.states - 2
        return (
            "embedding",
            *(f"block.{i}" for i in range(last)),
            f"block.{last}.norm" if self.normed else f"block.{last}",
        )


@torch.inference_mode()
def examine(part: TextPart, ordinary: Sequence[int], pad: int, device: torch.device, name: str) -> Nature:
    """Runs a model on two short texts and compares the states.

    Args:
        part: the model.
        ordinary: at least two ids of ordinary tokens, because models may treat special tokens differently.
        pad: id of the padding token.
        device: the device of inputs.
        name: name of the model in messages.

    Raises:
        SpecError: the model does not run on token ids alone, does not report hidden states, changes the number of
            tokens, or gives different states each time.

    Cost: three to five forward passes over at most 24 tokens.
    """
    short, long = (ids.to(device) for ids in _texts(ordinary))
    with _explained(part, name):
        reported = part.run_whole(short)
        states = reported_states(reported)
        _check_states(states, part, name)
        with _PositionTables() as tables, _watched(part.body, len(states) - 1) as watched:
            output = part.run(short, states=True)
            again, final = reported_states(output), last_states(output)
        if not _close(states, again, _tolerance(part)):
            raise SpecError(
                f"{name}: {type(part.whole).__name__} gives other hidden states when it, or its "
                f"{type(part.body).__name__} alone, reads the same text again. Features of it would not be repeatable."
            )
        causal, company = _company(part, states, short, long, pad, name)
    blocks, normed = _find_blocks(watched, again, final)
    positions = min(tables.places, default=None)
    logits = getattr(reported, "logits", None)
    return Nature(len(states), blocks, normed, causal, company, positions, short, final, type(output), logits)


@contextmanager
def repeatable(device: torch.device, name: str) -> Iterator[None]:
    """Raises if the block draws random numbers, as hashing attention does for long texts.

    Raises:
        SpecError: the state of a random number generator changed.
    """
    before = _random_states(device)
    yield
    if not all(torch.equal(a, b) for a, b in zip(before, _random_states(device), strict=True)):
        raise SpecError(
            f"{name}: the model draws random numbers while it reads texts of this length, so that its features would "
            "not be repeatable. Shorten the texts (max_tokens), or choose another model."
        )


def _random_states(device: torch.device) -> list[torch.Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _texts(ordinary: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A short text, and a longer text that begins with the same tokens except the last one."""
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(len(ordinary), generator=random)[:LONG]
    long = torch.tensor(list(ordinary))[order.repeat(LONG)[:LONG]]
    short = long[:SHORT].clone()
    long[SHORT - 1] = next(token for token in long[SHORT:].tolist() + long.tolist() if token != short[-1])
    return short[None], long[None]


@contextmanager
def _explained(part: TextPart, name: str) -> Iterator[None]:
    """Converts errors of a model to messages, except out-of-memory errors."""
    try:
        yield
    except (PlatorepError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise SpecError(
            f"{name}: {type(part.body).__name__} does not run on the token ids of a short text "
            f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]}). "
            "Give a causal language model, a text encoder or an encoder-decoder for text."
        ) from error


def _check_states(states: Sequence[torch.Tensor], part: TextPart, name: str) -> None:
    kind = type(part.body).__name__
    if not states:
        raise SpecError(
            f"{name}: {kind} reports no hidden states (output_hidden_states), so there are no layers to take."
        )
    if wrong := [tuple(state.shape) for state in states if state.shape[:-1] != (1, SHORT)]:
        raise SpecError(
            f"{name}: {kind} makes states of shape {wrong[0]} of a text of {SHORT} tokens; expected (1, {SHORT}, "
            "width). Layers without one vector a token cannot be pooled over a text's tokens."
        )


class _PositionTables(TorchFunctionMode):
    """Records the remaining size of every embedding table that is indexed by consecutive positions."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.embedding:
            rows, table = (*args, *(kwargs or {}).values())[:2]
            if rows.numel() >= SHORT and rows.numel() == rows.shape[-1]:
                places = rows.flatten()[:SHORT]
                if bool((places.diff() == 1).all()):
                    self.places.append(len(table) - int(places[0]))
        return func(*args, **(kwargs or {}))


Watched = list[tuple[nn.ModuleList, dict[int, torch.Tensor]]]
"""States by list of modules: the input of the first module at index 0, and the outputs from index 1."""


@contextmanager
def _watched(body: nn.Module, count: int) -> Iterator[Watched]:
    """Copies inputs and outputs of all lists of `count` modules."""
    lists = [module for module in body.modules() if isinstance(module, nn.ModuleList) and len(module) == count]
    seen: Watched = [(modules, {}) for modules in lists]
    handles = []

    def first(value: Any) -> Any:
        return first(value[0]) if isinstance(value, (tuple, list)) and len(value) else value

    def keep(states: dict[int, torch.Tensor], place: int, value: Any) -> None:
        if isinstance(value := first(value), torch.Tensor):
            states[place] = value.clone()

    try:
        for modules, states in seen:
            for i, module in enumerate(modules, 1):
                handles.append(module.register_forward_hook(lambda _m, _a, out, s=states, i=i: keep(s, i, out)))
            before = lambda _m, args, named, s=states: keep(s, 0, args or named.get("hidden_states"))  # noqa: E731
            handles.append(modules[0].register_forward_pre_hook(before, with_kwargs=True))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _find_blocks(
    watched: Watched, states: Sequence[torch.Tensor], final: torch.Tensor
) -> tuple[nn.ModuleList | None, bool]:
    """The list of modules whose outputs are the hidden states, and whether a norm follows the last one."""

    def equal(a: torch.Tensor | None, b: torch.Tensor) -> bool:
        return a is not None and a.shape == b.shape and torch.equal(a.to(b.device), b)

    last = len(states) - 1
    for modules, seen in watched:
        if all(equal(seen.get(i), states[i]) for i in range(last)):
            if equal(seen.get(last), states[last]):
                return modules, False
            if equal(final, states[last]):
                return modules, True
        without_embedding = all(equal(seen.get(i + 1), states[i]) for i in range(last))
        if without_embedding and equal(final, states[last]):
            return modules, True
    return None, False


def _company(
    part: TextPart, states: Sequence[torch.Tensor], short: torch.Tensor, long: torch.Tensor, pad: int, name: str
) -> tuple[bool, Company]:
    """Whether states are causal, and which texts can share a batch. A model with a head is first run without a mask."""
    ids = torch.full((3, LONG), pad, device=short.device)
    mask = torch.ones_like(ids)
    ids[:1, :SHORT], ids[1:] = short, long
    ids[2, -2] = next(token for token in long[0] if token != long[0, -2])
    mask[0, SHORT:] = 0
    batch = part.states(ids, None if part.head is not None else mask)
    _check_attention(batch, part, name)
    tolerance = _tolerance(part)
    causal = _close([s[:1, : SHORT - 1] for s in batch], [s[1:2, : SHORT - 1] for s in batch], tolerance / 8)
    if part.head is not None and not causal:
        batch = part.states(ids, mask)
    if _close(states, [state[:1, :SHORT] for state in batch], tolerance):
        return causal, "padded"
    batch = part.states(torch.cat([short, long[:, -SHORT:]]))
    return causal, "equal" if _close(states, [state[:1] for state in batch], tolerance) else "alone"


def _check_attention(batch: Sequence[torch.Tensor], part: TextPart, name: str) -> None:
    """Raises if no token depends on the previous one, because attention without its kernel may return zeros."""
    if batch[0].shape[:2] != (3, LONG):
        return
    moved = [not torch.equal(state[1, -2], state[2, -2]) for state in batch]
    if any(moved) and all(torch.equal(state[1, -1], state[2, -1]) for state in batch):
        device = part.body.device if hasattr(part.body, "device") else "this device"
        raise SpecError(
            f"{name}: in {type(part.body).__name__} no token sees any other on {device}: its attention does nothing "
            "there. It may need a GPU, or a kernel that is not installed."
        )


def _tolerance(part: TextPart) -> float:
    """Largest difference between states of the same text by rounding, as a share of the length of a token."""
    quantized = getattr(part.whole, "is_quantized", False)
    dtype = next(p.dtype for p in part.body.parameters() if p.is_floating_point())
    return 1e-4 if dtype == torch.float32 and not quantized else 0.2


def _close(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], tolerance: float) -> bool:
    """Whether all tokens of all layers agree within the tolerance; the check of features handles non-finite values."""
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            return False
        x, y = x.float().nan_to_num(), y.to(x.device).float().nan_to_num()
        length = x.norm(dim=-1)
        if bool(((x - y).norm(dim=-1) > tolerance * length.clamp(min=1e-3 * length.mean())).any()):
            return False
    return True
