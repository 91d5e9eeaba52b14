"""One row of docs/models for each architecture: what platorep makes of it, beside what its library says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from platorep.core.errors import PlatorepError


EXACT = 1e-4
"""Largest difference to the library's states, as a share of a feature's length, that counts as none."""

ROUNDING = 1e-3
"""The same between one input alone and in a batch: deep networks with random weights enlarge float32's rounding."""


@dataclass(frozen=True)
class Row:
    """What was found of one architecture.

    Attributes:
        name: the architecture in its library's words.
        kind: the class of its network.
        layers: how many, or "" where it was refused.
        widths: of the first and last layer.
        pool: what `pool: auto` becomes.
        source: whether layers are read from its blocks or from the library's report.
        agreement: largest difference to the library's own states, pooled naively.
        invariance: largest difference of one picture or text alone to the same one in a batch of three.
        refusal: the sentence with which it is refused, or "".
    """

    name: str
    kind: str
    layers: int = 0
    widths: str = ""
    pool: str = ""
    source: str = ""
    agreement: float = 0.0
    invariance: float = 0.0
    refusal: str = ""

    @property
    def right(self) -> bool:
        """Whether the features are the library's own, whatever is beside them in a batch."""
        return not self.refusal and self.agreement <= EXACT and self.invariance <= ROUNDING


def measured(
    name: str,
    kind: str,
    encode: Callable[[slice], list[torch.Tensor]],
    reference: Callable[[], list[torch.Tensor]],
    **said: str,
) -> Row:
    """A row from features and reference.

    Args:
        name, kind, said: what is printed as it is.
        encode: features of the given part of three inputs.
        reference: the library's states of all three, pooled naively.
    """
    together, own = encode(slice(0, 3)), reference()
    if dead := [i for i, layer in enumerate(own) if not float(layer.double().norm(dim=1).min()) > 1e-6]:
        raise ValueError(
            f"{name}: layer {dead[0]} of the small network is zero or not finite, so that nothing is shown"
        )
    return Row(
        name=name,
        kind=kind,
        layers=len(together),
        widths=f"{together[0].shape[1]} to {together[-1].shape[1]}",
        agreement=largest(together, own),
        invariance=largest(encode(slice(1, 2)), [layer[1:2] for layer in together]),
        **said,
    )


@torch.no_grad()
def enliven(model: torch.nn.Module, run: Callable[[], object]) -> None:
    """Scales weights so that signals keep their size: initial weights of some libraries let them die in a few layers.

    Args:
        model: the network.
        run: runs it on pictures, so that batch norms learn what comes in.
    """
    for weight in model.parameters():
        if weight.ndim > 1 and weight.numel() > 1 and float(weight.std()) > 0:
            weight.mul_((2 / weight[0].numel()) ** 0.5 / weight.std())
    norms = [module for module in model.eval().modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        run()
    model.eval()


def refused(name: str, kind: str, make: Callable[[], Row]) -> Row:
    """The row that `make` gives, or one with the sentence that it raises; anything else that it raises goes on."""
    try:
        return make()
    except PlatorepError as error:
        sentence = " ".join(str(error).split()).partition(": ")[2]
        return Row(name, kind, refusal=re.sub(r"by \d+% of", "by much of", sentence))


def largest(got: Sequence[torch.Tensor], want: Sequence[torch.Tensor]) -> float:
    """Largest distance between rows of two lists of layers, as a share of the row's length."""
    if [layer.shape for layer in got] != [layer.shape for layer in want]:
        return float("inf")
    return max(
        float(((a.double() - b.double()).norm(dim=1) / b.double().norm(dim=1).clamp_min(1e-300)).max())
        for a, b in zip(got, want, strict=True)
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| architecture | class | layers | widths | pool | read from | difference to the library | "
        "difference by batch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.refusal:
            lines.append(f"| `{row.name}` | {row.kind} | refused: {row.refusal} | | | | | |")
        else:
            numbers = f"{_number(row.agreement, EXACT)} | {_number(row.invariance, ROUNDING)}"
            lines.append(
                f"| `{row.name}` | {row.kind} | {row.layers} | {row.widths} | {row.pool} | {row.source} | {numbers} |"
            )
    return "\n".join(lines) + "\n"


def _number(value: float, limit: float) -> str:
    """A difference in words that are the same on every machine: rounding is not worth a digit."""
    return "none" if value <= limit else f"{value:.0e}"
