"""Execution settings: device, memory, threads, batches, shards. They are not part of any key."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platorep.core.errors import SpecError, unknown_name


if TYPE_CHECKING:
    import torch


UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""Decimal units of sizes in bytes."""

MOST_PROCESSES = 1024
"""Most threads or workers: larger numbers are typing errors, and would overload the machine."""

MOST_BYTES = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """How a run computes. Results do not depend on it. The defaults are for calls from Python: one process on the CPU.

    Attributes:
        device: "auto", "cpu", "cuda", "cuda:1", ….
        threads: number of CPU threads, set by `use_threads`; None keeps torch's default.
        tokens: token budget of a batch, padding included; None derives it from the device.
        workers: processes that decode pictures; None derives it from the cores, 0 decodes in this process.
        shard_rows: rows per stored shard. A killed run loses at most one shard, and machines share work by shards.
        compile: whether blocks of models are compiled by torch.compile.
        memory: bytes available for features and prepared layers in `align`.
        shard: (i, m): this run does the i-th of m shares of the work.

    Raises:
        SpecError: a value has the wrong type or is out of range. The message uses the name of the command line.
    """

    device: str = "cpu"
    threads: int | None = None
    tokens: int | None = None
    workers: int | None = None
    shard_rows: int = 256
    compile: bool = False
    memory: int = 4 << 30
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if not isinstance(self.device, str) or not self.device:
            raise SpecError(f"compute.device is {self.device!r}; expected auto, cpu, cuda or cuda:1.")
        if not isinstance(self.compile, bool):
            raise SpecError(f"compute.compile is {self.compile!r}; expected true or false.")
        _check("compute.threads", self.threads, 1, MOST_PROCESSES, "null for torch's choice")
        _check("compute.tokens", self.tokens, 1, MOST_BYTES, "null to find it from the device")
        _check("compute.workers", self.workers, 0, MOST_PROCESSES, "null to find it from the cores")
        _check("compute.shard_rows", self.shard_rows, 1, MOST_BYTES)
        _check("compute.memory", self.memory, 1, MOST_BYTES)
        index, count = self.shard
        _check("shard's second number", count, 1, MOST_BYTES)
        _check("shard's first number", index, 0, count - 1)

    @classmethod
    def from_config(cls, compute: Mapping[str, Any], shard: str | None = None) -> Resources:
        """Reads the configuration group `compute` and the word `shard`.

        Raises:
            UnknownNameError: a setting does not exist.
            SpecError: a setting is missing or out of range.
        """
        known = ("device", "threads", "tokens", "workers", "shard_rows", "compile", "memory")
        for name in compute:
            if name not in known:
                raise unknown_name("setting of compute", str(name), known)
        if missing := [name for name in known if name not in compute]:
            raise SpecError(f"compute lacks {', '.join(missing)}.")
        return cls(**{**compute, "memory": parse_bytes(compute["memory"])}, shard=parse_shard(shard))


def parse_bytes(text: str | int) -> int:
    """Bytes of "3GB", "512MB" or a plain number (decimal units).

    Raises:
        SpecError: the text has another format, or the size is not positive and finite.
    """
    value, factor = str(text).strip().upper(), 1
    for unit, size in UNITS.items():
        if value.endswith(unit):
            value, factor = value.removesuffix(unit).strip(), size
    try:
        total = float(value) * factor
    except ValueError:
        total = math.nan
    if not 1 <= total <= MOST_BYTES:
        raise SpecError(f"compute.memory is {text!r}; expected a size such as 3GB or 512MB.")
    return int(total)


def parse_shard(text: str | None) -> tuple[int, int]:
    """(i, m) of "i/m", (0, 1) for None.

    Raises:
        SpecError: the text is not i/m with 0 <= i < m.
    """
    if text is None:
        return 0, 1
    try:
        index, count = (int(part) for part in str(text).split("/"))
    except ValueError:
        index, count = -1, 0
    if not 0 <= index < count:
        raise SpecError(f"shard is {text!r}; expected i/m with 0 <= i < m, such as 0/8.")
    return index, count


def pick_device(name: str = "auto") -> torch.device:
    """The device for `compute.device`; "auto" selects the first GPU, else that of Apple, else the CPU.

    Raises:
        SpecError: the device is not available.
    """
    import torch

    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(accelerator.type, 0) if accelerator is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend that is missing has an error of its own
        cause = str(error).partition("\n")[0][:200]
        raise SpecError(f"device {name!r} cannot be used here ({cause}). Use device=cpu or device=auto.") from error
    return device


def use_threads(threads: int | None) -> None:
    """Sets the number of threads of torch; None does not change it."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _check(name: str, value: Any, least: int, most: int, otherwise: str = "") -> None:
    """Checks that a value is an integer in a range. None is allowed if `otherwise` explains it."""
    if value is None and otherwise:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        number = f"{least} or more" if most >= MOST_BYTES else f"{least} to {most}"
        raise SpecError(f"{name} is {value!r}; expected {number}{f', or {otherwise}' if otherwise else ''}.")


DEFAULT = Resources()
"""One process on the CPU."""
