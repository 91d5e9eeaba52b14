"""What a language model does with a short text: found out by running it, not read off its name.

A class name does not say whether attention is causal, whether padding leaks into a text, or which modules put out the
hidden states. Two texts of a few random tokens tell: one begins like the other, has another token at its end, and goes on.
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
from platorep.models.architectures import TextPart


SHORT, LONG = 8, 12
"""Tokens of the two texts."""

Company = Literal["padded", "equal", "alone"]
"""Which texts may share a batch: any, those of one length, or none."""


@dataclass(frozen=True)
class Nature:
    """What a model was found to do.

    Attributes:
        states: how many hidden states it reports: the embedding output, and one a block.
        blocks: the modules that put them out; None where no list of modules does, so that the model has to report them.
        normed: whether the last state is the final norm's output and not the last block's.
        causal: whether a token's states stay as they are when later tokens change.
        company: which texts may share a batch without changing each other's states.
        positions: most tokens that its position table has places for; None where it has no such table.
        ids: the short text, (1, tokens).
        final: the last states of the short text, (1, tokens, width).
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
    logits: torch.Tensor | None


@torch.inference_mode()
def examine(part: TextPart, ordinary: Sequence[int], pad: int, device: torch.device, name: str) -> Nature:
    """Runs a model on two short texts and compares the states.

    Args:
        part: the model.
        ordinary: at least two token ids that stand for text; special ones can have a meaning to a model.
        pad: the id that fills batches up.
        device: where inputs go.
        name: the model, for messages.

    Raises:
        SpecError: the model does not run on token ids alone, does not report hidden states, changes the number of tokens
            on the way, or gives other states each time.

    Cost: three to five forward passes over at most 24 tokens.
    """
    short, long = (ids.to(device) for ids in _texts(ordinary))
    with _explained(part, name):
        reported = part.run_whole(short)
        states = reported.hidden_states
        _check_states(states, part, name)
        with _PositionTables() as tables, _watched(part.body, len(states) - 1) as watched:
            output = part.run(short, states=True)
        if not _close(states, output.hidden_states, _tolerance(part)):
            raise SpecError(
                f"{name}: {type(part.whole).__name__} gives other hidden states when it, or its "
                f"{type(part.body).__name__} alone, reads the same text again. Features of it would not be repeatable."
            )
        causal, company = _company(part, states, short, long, pad)
    final = getattr(output, "last_hidden_state", None)
    blocks, normed = (None, False) if final is None else _find_blocks(watched, output.hidden_states, final)
    final = output.hidden_states[-1] if final is None else final
    positions = min(tables.places, default=None)
    logits = getattr(reported, "logits", None)
    return Nature(len(states), blocks, normed, causal, company, positions, short, final, logits)


def _texts(ordinary: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A text, and one that begins like it, differs in the last token of the first, and goes on."""
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(len(ordinary), generator=random)[:LONG]
    long = torch.tensor(list(ordinary))[order.repeat(LONG)[:LONG]]
    short = long[:SHORT].clone()
    long[SHORT - 1] = next(token for token in long[SHORT:].tolist() + long.tolist() if token != short[-1])
    return short[None], long[None]


@contextmanager
def _explained(part: TextPart, name: str) -> Iterator[None]:
    """Turns whatever a model stops at into a sentence, apart from a lack of memory."""
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


def _check_states(states: Any, part: TextPart, name: str) -> None:
    kind = type(part.body).__name__
    if not states:
        raise SpecError(
            f"{name}: {kind} reports no hidden states (output_hidden_states), so there are no layers to take."
        )
    lengths = [tuple(state.shape[:-1]) for state in states]
    if wrong := [shape for shape in lengths if shape != (1, SHORT)]:
        raise SpecError(
            f"{name}: {kind} changes the number of tokens from layer to layer: {SHORT} tokens became states of shape "
            f"{wrong[0]}. Its layers cannot be pooled over the text's own tokens."
        )


class _PositionTables(TorchFunctionMode):
    """Notes how many places are left in every embedding table that is read at positions one after the other."""

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
"""Lists of modules, each with the first module's input at 0 and the outputs from 1 on."""


@contextmanager
def _watched(body: nn.Module, count: int) -> Iterator[Watched]:
    """Copies what goes into and comes out of all lists of `count` modules."""
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
    """The list of modules that puts out exactly the hidden states, and whether a norm follows the last."""

    def equal(a: torch.Tensor | None, b: torch.Tensor) -> bool:
        return a is not None and a.shape == b.shape and torch.equal(a.to(b.device), b)

    last = len(states) - 1
    for modules, seen in watched:
        if all(equal(seen.get(i), states[i]) for i in range(last)):
            if equal(seen.get(last), states[last]):
                return modules, False
            if equal(final, states[last]):
                return modules, True
    return None, False


def _company(
    part: TextPart, states: Sequence[torch.Tensor], short: torch.Tensor, long: torch.Tensor, pad: int
) -> tuple[bool, Company]:
    """Whether states are causal, and which texts may share a batch; a model with a head is first tried without a mask."""
    ids = torch.full((2, LONG), pad, device=short.device)
    mask = torch.ones_like(ids)
    ids[:1, :SHORT], ids[1:] = short, long
    mask[0, SHORT:] = 0
    batch = part.run(ids, None if part.head is not None else mask, states=True).hidden_states
    tolerance = _tolerance(part)
    beginnings = [[state[i : i + 1, : SHORT - 1] for state in batch] for i in (0, 1)]
    causal = _close(*beginnings, tolerance / 8)
    if part.head is not None and not causal:
        batch = part.run(ids, mask, states=True).hidden_states
    if _close(states, [state[:1, :SHORT] for state in batch], tolerance):
        return causal, "padded"
    batch = part.run(torch.cat([short, long[:, -SHORT:]]), states=True).hidden_states
    return causal, "equal" if _close(states, [state[:1] for state in batch], tolerance) else "alone"


def _tolerance(part: TextPart) -> float:
    """How far states of one text may be apart because of rounding alone, as a share of a token's length."""
    quantized = getattr(part.whole, "is_quantized", False)
    dtype = next(p.dtype for p in part.body.parameters() if p.is_floating_point())
    return 1e-4 if dtype == torch.float32 and not quantized else 0.2


def _close(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor], tolerance: float) -> bool:
    """Whether all tokens of all layers are within the tolerance; what is not finite is left to the check of features."""
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape:
            return False
        x, y = x.float().nan_to_num(), y.to(x.device).float().nan_to_num()
        length = x.norm(dim=-1)
        if bool(((x - y).norm(dim=-1) > tolerance * length.clamp(min=1e-3 * length.mean())).any()):
            return False
    return True
