"""torch.compile for single blocks: all blocks of a model share the compiled code, which does not include pooling."""

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

    Only `forward` is compiled, not the call of the module, so hooks run as usual. The compiled code, and its reference
    to the model, are released when the context ends.

    Raises:
        SpecError: the compiler that torch.compile needs is not installed.

    Cost: a few seconds to a minute before the first batch; worthwhile for many thousands of samples.
    """
    blocks = getattr(encoder, "blocks", None)
    if blocks is None:
        yield False
        return
    _check_compiler(device)
    before = [vars(block).get("forward") for block in blocks]  # set by accelerate, if it moves weights or inputs
    try:
        for block in blocks:
            block.forward = torch.compile(block.forward, dynamic=True)
        yield True
    finally:
        for block, original in zip(blocks, before, strict=True):
            if original is None:
                vars(block).pop("forward", None)
            else:
                block.forward = original
        torch.compiler.reset()


def _check_compiler(device: torch.device) -> None:
    """Raises in advance if torch.compile would fail at the first batch."""
    if device.type == "cuda":
        names = [os.environ.get("CC", ""), "gcc", "clang"]
    else:
        names = [os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")]
    if not any(name and shutil.which(name) for name in names):
        raise SpecError(
            f"compute.compile=true needs a C++ compiler, and {' or '.join(filter(None, names))} is not there. "
            "Install one (apt-get install g++) or name it in CXX (CC for a GPU), or leave compute.compile out."
        )
