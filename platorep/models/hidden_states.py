"""Determines the layout of hidden states of vision models of the transformers library from their outputs.

The library reports states of every layer (`output_hidden_states`), as tokens or maps, with or without the final norm on
the last one. The modules that return them, the tokens that are not patches, and the class token among these are found
by running the model on noise. This requires no list of architectures, and only the name of the class token's parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from platorep.core.errors import SpecError


CLASS_TOKEN = re.compile(r"(^|\.)(cls|class)_(token|embedding)s?$")
"""Parameter names of class tokens, which distinguish them from registers."""


@dataclass(frozen=True)
class Layer:
    """One layer of a vision model.

    Attributes:
        name: its name in the features.
        state: its index in `hidden_states`.
        block: the module whose output it is; None if no module returns it.
        norm: the final norm, if the library reports the layer after the norm; the layer is the input of the norm.
        tokens: number of tokens, or None for a map.
        others: indices of the tokens that are not patches.
    """

    name: str
    state: int
    block: nn.Module | None
    norm: nn.Module | None
    tokens: int | None
    others: tuple[int, ...]


@dataclass(frozen=True)
class StateLayout:
    """The layers of a vision model, and the format of their outputs.

    Attributes:
        layers: in depth order, without the embedding.
        class_token: the index of a class token that is in every layer; None if there is none.
        channels_last: whether maps have the shape (batch, height, width, channels).
    """

    layers: tuple[Layer, ...]
    class_token: int | None
    channels_last: bool


def hidden_states(tower: nn.Module, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The hidden states that a vision model reports.

    Raises:
        SpecError: the model does not report one tensor per layer.
    """
    output = tower(pixel_values=pictures, output_hidden_states=True, return_dict=True)
    states = getattr(output, "hidden_states", None)
    if not states or not all(isinstance(state, torch.Tensor) and state.ndim in (3, 4) for state in states):
        raise SpecError(
            f"transformers' {type(tower).__name__} reports no hidden states, so that its layers cannot be told."
        )
    return tuple(states)


@torch.inference_mode()
def state_layout(tower: nn.Module, pictures: torch.Tensor) -> StateLayout:
    """The layout of a vision model's hidden states.

    Args:
        tower: the model, in evaluation mode.
        pictures: two different pictures of noise, (2, 3, height, width).

    Raises:
        SpecError: the model reports no hidden states, or states that are neither a grid of tokens nor a map.

    Cost: two runs with both pictures, and a third if there are tokens that are not patches.
    """
    states = hidden_states(tower, pictures)
    watched = _watch(tower, pictures, states)
    layers = _layers(tower, states, watched)
    channels_last = _channels_last(states, pictures)
    for layer in layers:
        patches = None if layer.tokens is None else layer.tokens - len(layer.others)
        if patches is not None and pictures.shape[2] == pictures.shape[3] and round(patches**0.5) ** 2 != patches:
            raise SpecError(
                f"{layer.name} of transformers' {type(tower).__name__} has {layer.tokens} tokens, of which {patches} "
                "depend on the picture: they form no grid, so that patches and other tokens cannot be told apart."
            )
    return StateLayout(layers, _class_token(tower, pictures, layers, states), channels_last)


@dataclass
class _Watched:
    """Observations of a model's modules in one run.

    Attributes:
        matches: for every state, the names of the modules that return it, in the order of their runs.
        constants: for every member of a list of modules, the indices of its input tokens that are equal for both
            pictures.
        outputs: for every such member, its output, if it has the shape of the last state.
        norm_inputs: inputs of the modules that return the last state.
    """

    matches: list[list[str]]
    constants: dict[str, tuple[int, ...]] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    norm_inputs: dict[str, torch.Tensor] = field(default_factory=dict)


def _watch(tower: nn.Module, pictures: torch.Tensor, states: Sequence[torch.Tensor]) -> _Watched:
    watched = _Watched([[] for _ in states])
    corners = [state[(0,) * (state.ndim - 1)] for state in states]

    def look(name: str, inputs: list[torch.Tensor], output: torch.Tensor) -> None:
        corner = output[(0,) * (output.ndim - 1)]
        for i, state in enumerate(states):
            if output.shape == state.shape and torch.equal(corner, corners[i]) and torch.equal(output, state):
                watched.matches[i].append(name)
                if i == len(states) - 1 and inputs and inputs[0].shape == output.shape:
                    watched.norm_inputs[name] = inputs[0].clone()
        if _is_member(name):
            if inputs and inputs[0].ndim == 3 and inputs[0].shape[:2] == output.shape[:2]:
                watched.constants[name] = _constant_tokens(inputs[0])
            if output.shape == states[-1].shape:
                watched.outputs[name] = output.clone()

    with _looking(tower, look):
        tower(pixel_values=pictures)
    return watched


@contextmanager
def _looking(tower: nn.Module, look: Callable[[str, list[torch.Tensor], torch.Tensor], None]) -> Iterator[None]:
    """Calls `look` with name, input tensors and first output tensor of every module that runs."""

    def hook(name: str) -> Callable[..., None]:
        def after(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            first = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(first, torch.Tensor) and first.ndim in (3, 4) and first.numel():
                look(name, [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)], first)

        return after

    handles = [
        module.register_forward_hook(hook(name), with_kwargs=True) for name, module in tower.named_modules() if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_member(name: str) -> bool:
    """Whether a module's name ends in a number: the members of a list of blocks or stages."""
    return name.rsplit(".", 1)[-1].isdecimal()


def _constant_tokens(tokens: torch.Tensor) -> tuple[int, ...]:
    """Indices of the tokens (2, tokens, width) that do not depend on the picture."""
    return tuple((tokens[0] == tokens[1]).all(-1).nonzero().flatten().tolist())


def _layers(tower: nn.Module, states: Sequence[torch.Tensor], watched: _Watched) -> tuple[Layer, ...]:
    """The layers: all states except the embedding, each with the outermost list member that returns it."""
    names, last = [], ""
    for matches in watched.matches:
        order = {name: place for place, name in enumerate(matches)}
        members = [name for name in matches if _is_member(name) and name not in names]
        last = min(members, key=lambda name: (name.count("."), order[name]), default="")
        names.append(last)
    norm = None
    if not names[-1] and (through := _before_norm(watched)):
        norm, names[-1] = through
        if names[-1] in names[:-1]:  # the output of the last block is reported twice, before and after the norm
            states, names, norm = states[:-1], names[:-1], None
    first = 0 if names[0] and _pattern(names[0]) == _pattern(names[min(1, len(names) - 1)]) else 1
    if not all(names[first:]):
        names, first, norm = [""] * len(states), 0, None
    kind = "state" if not names[-1] else "block" if len({state.shape for state in states[first:]}) == 1 else "stage"
    layers: list[Layer] = []
    for i in range(first, len(states)):
        tokens = states[i].shape[1] if states[i].ndim == 3 else None
        others = watched.constants.get(names[i], ()) if names[i] else _constant_tokens(states[0])
        if layers and layers[-1].tokens == tokens:
            others = tuple(sorted({*layers[-1].others, *others}))
        layers.append(
            Layer(
                name=f"{kind}.{i - first}",
                state=i,
                block=tower.get_submodule(names[i]) if names[i] else None,
                norm=tower.get_submodule(norm) if norm is not None and i == len(states) - 1 else None,
                tokens=tokens,
                others=others if tokens is not None else (),
            )
        )
    return tuple(layers)


def _before_norm(watched: _Watched) -> tuple[str, str] | None:
    """Names of the norm that returns the last state, and of the list member whose output is its input."""
    for norm, inputs in watched.norm_inputs.items():
        for name, output in sorted(watched.outputs.items(), key=lambda item: item[0].count(".")):
            if torch.equal(output, inputs):
                return norm, name
    return None


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _channels_last(states: Sequence[torch.Tensor], pictures: torch.Tensor) -> bool:
    """Whether maps have their channels last, which the proportions of the picture show."""
    height, width = pictures.shape[2:]
    maps = [state.shape for state in states if state.ndim == 4]
    for _, a, b, c in maps:
        last, first = a * width == b * height, b * width == c * height
        if last != first:
            return last
    if maps:
        raise SpecError(f"which axis of its maps {tuple(maps[0])} is not space cannot be told.")
    return False


def _class_token(
    tower: nn.Module, pictures: torch.Tensor, layers: Sequence[Layer], states: Sequence[torch.Tensor]
) -> int | None:
    """Index of the token that depends on the parameter of the class token, if it is in every layer; else None."""
    common = set.intersection(*(set(layer.others) for layer in layers))
    same = len({layer.tokens for layer in layers}) == 1
    named = [parameter for name, parameter in tower.named_parameters() if CLASS_TOKEN.search(name)]
    if not common or not same or len(named) != 1 or states[0].shape[:2] != states[-1].shape[:2]:
        return None
    before = named[0].clone()
    try:
        named[0].add_(1.0)
        changed = hidden_states(tower, pictures)[0]
    finally:
        named[0].copy_(before)
    moved = set((changed != states[0]).any(-1).any(0).nonzero().flatten().tolist())
    return next(iter(moved)) if len(moved) == 1 and moved <= common else None
