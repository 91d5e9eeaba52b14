"""Checks that a checkpoint provides all weights of its architecture; missing ones would be random."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from platorep.core.errors import SpecError


NUMBERED = re.compile(r"(.*?)\.(\d+)\.(.*)")
"""Name of a tensor of a block: the path of the blocks, the number of the block, and the rest."""


def check_weights(
    model: nn.Module,
    info: Mapping[str, Any],
    part: nn.Module,
    features: Callable[[], Iterable[torch.Tensor]],
    name: str,
) -> frozenset[str]:
    """Raises if a checkpoint lacks a tensor that features depend on, or has one that the architecture leaves out.

    A missing tensor is needed if it belongs to a numbered block of the part that computes features, or if the features
    depend on it, so that it has a gradient. Heads and poolers usually have no gradient.

    Args:
        model: returned by `from_pretrained` with `output_loading_info=True` and `ignore_mismatched_sizes=True`.
        info: the loading information: missing, unexpected and mismatched names.
        part: the module that computes features; the model itself if it has no other parts.
        features: computes features of any input; only called if tensors are missing.
        name: name of the model in messages.

    Returns:
        Names of the missing tensors that no feature needs.

    Raises:
        SpecError: the checkpoint does not match; the message lists the tensors.
    """
    if mismatched := sorted(tuple(entry) for entry in info["mismatched_keys"]):
        key, stored, expected = mismatched[0]
        raise SpecError(
            f"{name}: the checkpoint's {key} has shape {tuple(stored)}, config.json asks for {tuple(expected)}"
            f"{_and_others(mismatched)}. The config belongs to another model, or the file is damaged."
        )
    missing, unread = frozenset(info["missing_keys"]), frozenset(info["unexpected_keys"])
    tensors = _tensors(model)
    inside = {id(tensor) for tensor in _tensors(part).values()}
    needed = {key for key in missing if NUMBERED.fullmatch(key) and id(tensors.get(key)) in inside}
    if rest := missing - needed:
        needed |= _reached(tensors, rest, features)
    if needed:
        raise SpecError(
            f"{name}: the checkpoint lacks {sorted(needed)[0]}{_and_others(needed)}, which features are made of. "
            f"{_explanation(model, needed, unread)}"
        )
    _check_unread(model, unread, name)
    return missing


def seeded(seed: int, make: Callable[[], Any]) -> Any:
    """Calls `make` with a seed, on the CPU in float32, without changing the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def _and_others(keys: Collection[Any]) -> str:
    return f" and {len(keys) - 1} more" if len(keys) > 1 else ""


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _reached(
    tensors: Mapping[str, torch.Tensor], keys: Iterable[str], features: Callable[[], Iterable[torch.Tensor]]
) -> set[str]:
    """The tensors that features depend on."""
    asked = {key: tensors[key] for key in keys if key in tensors and tensors[key].is_floating_point()}
    buffers = {key: tensor for key, tensor in asked.items() if not isinstance(tensor, nn.Parameter)}
    reached = _spoiling(buffers, features)
    asked = {key: tensor for key, tensor in asked.items() if key not in buffers}
    if not asked:
        return reached
    before = {key: tensor.requires_grad for key, tensor in tensors.items()}
    try:
        for tensor in tensors.values():
            tensor.requires_grad_(False)
        for tensor in asked.values():
            tensor.requires_grad_(True)
        with torch.enable_grad():
            total = sum((feature.float().sum() for feature in features()), start=torch.zeros(()))
            if not total.requires_grad:
                return reached
            gradients = torch.autograd.grad(total, list(asked.values()), allow_unused=True)
    finally:
        for key, tensor in tensors.items():
            tensor.requires_grad_(before[key])
    return reached | {key for key, gradient in zip(asked, gradients, strict=True) if gradient is not None}


@torch.no_grad()
def _spoiling(buffers: Mapping[str, torch.Tensor], features: Callable[[], Iterable[torch.Tensor]]) -> set[str]:
    """All buffers if features are not finite after the buffers are set to NaN, else none.

    Gradients cannot be used for buffers such as the running statistics of batch norms.
    """
    if not buffers:
        return set()
    before = {key: buffer.clone() for key, buffer in buffers.items()}
    try:
        for buffer in buffers.values():
            buffer.fill_(float("nan"))
        spoilt = not all(bool(feature.isfinite().all()) for feature in features())
    finally:
        for key, buffer in buffers.items():
            buffer.copy_(before[key])
    return set(buffers) if spoilt else set()


def _explanation(model: nn.Module, needed: Collection[str], unread: Collection[str]) -> str:
    """Explains why tensors may be missing, with a remedy."""
    key = sorted(needed)[0]
    if named := [other for other in sorted(unread) if other.endswith(f".{key}")]:
        prefix = named[0].removesuffix(key)
        return (
            f"It has {named[0]} instead: save it again from the model itself and not from what wraps it, or take the "
            f"prefix {prefix!r} off the names."
        )
    places = {(match[1], int(match[2])) for name in needed if (match := NUMBERED.fullmatch(name))}
    for path in {path for path, _ in places}:
        lacking, present = {i for p, i in places if p == path}, _numbers(model.state_dict(), path)
        if lacking and lacking == {i for i in present if i >= min(lacking)}:
            return (
                f"Of the {len(present)} blocks {path} in config.json it holds {min(lacking)}: the config belongs to "
                "another model, or a file is missing."
            )
    others = f" It has names that the architecture does not know, such as {sorted(unread)[0]}." if unread else ""
    return f"Take the whole checkpoint, or the config that belongs to it.{others}"


def _numbers(keys: Iterable[str], path: str) -> set[int]:
    return {int(match[2]) for key in keys if (match := NUMBERED.fullmatch(key)) and match[1] == path}


def _check_unread(model: nn.Module, unread: Collection[str], name: str) -> None:
    """Raises if the config does not describe the checkpoint, which then has more blocks, or biases that it leaves out.

    Other unused tensors are common and harmless, such as heads and buffers of older versions.
    """
    modules = dict(model.named_modules())
    for key in sorted(unread):
        path, _, last = key.rpartition(".")
        if last == "bias" and path in modules and getattr(modules[path], "bias", 0) is None:
            raise SpecError(
                f"{name}: the checkpoint holds {key}, but by config.json {path} has no bias: features would leave it "
                "out. Take the config that belongs to the checkpoint."
            )
    names: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key in model.state_dict():
        if match := NUMBERED.fullmatch(key):
            names[match[1]][int(match[2])].add(match[3])
    further: dict[tuple[str, int], set[str]] = defaultdict(set)
    for key in unread:
        if match := NUMBERED.fullmatch(key):
            further[match[1], int(match[2])].add(match[3])
    for (path, number), rest in sorted(further.items()):
        if (blocks := names.get(path)) and number == max(blocks) + 1 and rest == blocks[number - 1]:
            raise SpecError(
                f"{name}: the checkpoint holds a block {path}.{number}, but config.json has only {number} blocks. "
                "Take the config that belongs to the checkpoint."
            )
