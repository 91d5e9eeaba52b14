"""How a run computes: device, memory, threads, share of the work. Nothing here changes a result."""

from __future__ import annotations

from dataclasses import dataclass

from platorep.core.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Where and how to compute; results do not depend on it.

    Args:
        device: auto, cpu, cuda or cuda:1.
        tokens: tokens or picture patches a batch; None finds the budget.
        threads: CPU threads of torch; None leaves torch's choice.
        workers: processes that decode pictures; None is one a core, at most 8.
        shard_rows: samples a stored shard.
        compile: whether the models' blocks run through torch.compile.
        memory: bytes that `align` may take for features and prepared layers.
        shard: (i, m), the i-th of m shares of the work.
    """

    device: str = "auto"
    tokens: int | None = None
    threads: int | None = None
    workers: int | None = None
    shard_rows: int = 256
    compile: bool = False
    memory: int = 3 * 10**9
    shard: tuple[int, int] = (0, 1)


def parse_bytes(text: str | int) -> int:
    """Bytes of "3GB", "512MB" or a plain number (decimal units).

    Raises:
        SpecError: it is none of them.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    value = str(text).strip().upper()
    unit = next((unit for unit in units if value.endswith(unit)), "")
    try:
        size = int(float(value.removesuffix(unit)) * units.get(unit, 1))
    except (ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise SpecError(f"compute.memory is {text!r}; expected a size such as 3GB or 512MB.")
    return size


def parse_shard(text: str | None) -> tuple[int, int]:
    """(i, m) of "i/m", (0, 1) for None.

    Raises:
        SpecError: it is not i/m with 0 <= i < m.
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
