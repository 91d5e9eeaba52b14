"""Pools outputs of modules by hooks while the model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def pooled_outputs(
    modules: Mapping[str, nn.Module],
    pool: Callable[[torch.Tensor], torch.Tensor],
    *,
    inputs: frozenset[str] = frozenset(),
) -> Iterator[dict[str, torch.Tensor]]:
    """Pools outputs (or inputs) of modules immediately, so that full hidden states are not collected.

    Args:
        modules: modules by name.
        pool: converts the output of a module (its first tensor, if it is a tuple) to the kept value.
        inputs: names of modules whose first input is pooled instead of the output.

    Yields:
        A dict that is filled while the model runs. Hooks are removed at the end, also after an error.
    """
    pooled: dict[str, torch.Tensor] = {}
    handles = []

    def after(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            pooled[name] = pool(output[0] if isinstance(output, (tuple, list)) else output)

        return hook

    def before(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            pooled[name] = pool(args[0] if args else kwargs["hidden_states"])

        return hook

    try:
        for name, module in modules.items():
            if name in inputs:
                handles.append(module.register_forward_pre_hook(before(name), with_kwargs=True))
            else:
                handles.append(module.register_forward_hook(after(name)))
        yield pooled
    finally:
        for handle in handles:
            handle.remove()
