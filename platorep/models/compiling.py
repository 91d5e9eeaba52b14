"""torch.compile, block by block: one block's code serves all of a model's, and pooling stays outside of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from platorep.core.errors import SpecError
from platorep.models.base import Encoder


@contextmanager
def compiled_blocks(encoder: Encoder, device: torch.device) -> Iterator[bool]:
    """Compiles every block's forward pass for any batch and length; yields whether the encoder has blocks to compile.

    Only the forward pass inside a module's call is compiled, so that hooks run around it as they always do. When the
    block ends, what was compiled is forgotten, and the model with it.

    Raises:
        SpecError: there is no compiler for what torch.compile writes.

    Cost: some seconds to a minute before the first batch; worth it from many thousand samples on.
    """
    blocks = getattr(encoder, "blocks", None)
    if blocks is None:
        yield False
        return
    _check_compiler(device)
    before = [vars(block).get("forward") for block in blocks]  # accelerate's, where it moves weights or inputs
    try:
        for block in blocks:
            block.forward = torch.compile(block.forward, dynamic=True)
        yield True
    finally:
        for block, own in zip(blocks, before, strict=True):
            if own is None:
                vars(block).pop("forward", None)
            else:
                block.forward = own
        torch.compiler.reset()


def _check_compiler(device: torch.device) -> None:
    """Refuses to begin where torch.compile would stop at its first batch."""
    if device.type == "cuda":
        names = [os.environ.get("CC", ""), "gcc", "clang"]
    else:
        names = [os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")]
    if not any(name and shutil.which(name) for name in names):
        raise SpecError(
            f"compute.compile=true needs a C++ compiler, and {' or '.join(filter(None, names))} is not there. "
            "Install one (apt-get install g++) or name it in CXX (CC for a GPU), or leave compute.compile out."
        )
