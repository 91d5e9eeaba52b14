"""What a table of scores says of its layers: which take no part and why, and where neighbours are tied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd


ALIKE = "all samples are alike, up to rounding to float32"
"""Why a layer without variation takes no part: there is nothing to compare, but that is no fault."""

TIED = 0.01
"""Share of samples with a tied last neighbour from which a layer is remarked upon."""


@dataclass(frozen=True)
class LeftOut:
    """Layers of one model that take no part in the scores of some metrics, for one reason.

    Attributes:
        model: the model's name.
        layers: names, in depth order; "concatenation" for that of all layers.
        metrics: ids of the metrics.
        reason: why.
    """

    model: str
    layers: tuple[str, ...]
    metrics: tuple[str, ...]
    reason: str

    @property
    def is_fault(self) -> bool:
        """Whether the command should end with an error; False where all samples of the layers are alike."""
        return self.reason != ALIKE

    def __str__(self) -> str:
        return f"{self.model}: {_named(self.layers)} left out of {', '.join(self.metrics)}: {self.reason}"


def left_out(frame: pd.DataFrame) -> list[LeftOut]:
    """The layers that take no part in an alignment table, one entry for each model, metrics and reason.

    Args:
        frame: with the columns of `AlignmentTable`.
    """
    layers: dict[tuple[str, str, str], dict[str, None]] = {}
    for side in ("x", "y"):
        columns = [f"{side}_model", "metric", f"{side}_left_out", f"{side}_layer_name"]
        for model, metric, reason, layer in _distinct(frame[frame[f"{side}_left_out"] != ""], columns):
            layers.setdefault((model, metric, reason), {})[layer] = None
    metrics: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for (model, metric, reason), names in layers.items():
        metrics.setdefault((model, tuple(names), reason), []).append(metric)
    return [LeftOut(model, names, tuple(ids), reason) for (model, names, reason), ids in metrics.items()]


def remarks(frame: pd.DataFrame) -> list[str]:
    """What to know before reading an alignment table, one sentence each: layers that are left out, and tied neighbours.

    Args:
        frame: with the columns of `AlignmentTable`.
    """
    sentences = [f"{entry}." if not entry.reason.endswith(".") else str(entry) for entry in left_out(frame)]
    return sentences + _tied(frame)


def _tied(frame: pd.DataFrame) -> list[str]:
    """One sentence on tied neighbours for all models, with the worst of them by name; none where nothing is tied."""
    shares: dict[str, dict[str, float]] = {}  # model -> layer -> share of samples, the largest of all metrics
    metrics: dict[str, None] = {}
    for side in ("x", "y"):
        columns = [f"{side}_model", "metric", f"{side}_layer_name", f"{side}_tied"]
        for model, metric, layer, share in _distinct(frame[frame[f"{side}_tied"] >= TIED], columns):
            layers = shares.setdefault(model, {})
            layers[layer] = max(share, layers.get(layer, 0.0))
            metrics[metric] = None
    if not shares:
        return []
    worst = sorted(shares, key=lambda model: -max(shares[model].values()))
    models = [
        f"{model} (up to {max(shares[model].values()):.0%} of the samples, {_named(list(shares[model]))})"
        for model in worst[:3]
    ]
    more = f" and {len(worst) - 3} more model{'s' * (len(worst) > 4)}" if len(worst) > 3 else ""
    return [
        f"{', '.join(metrics)}: the last neighbour is exactly as near as the next in {', '.join(models)}{more}. "
        f"{_effect_of_ties(metrics)} "
        "Repeated rows, labels and counts are common causes. A metric of all samples, such as cka, needs no neighbours."
    ]


def _effect_of_ties(metrics: Iterable[str]) -> str:
    """The effect of ties under the rules that these ids of metrics state."""
    first = ["ties=first" in metric for metric in metrics]
    lower = "the lower index counts on both sides, so unrelated layers with ties agree above chance"
    drawn = "which of them counts is drawn at random, so these layers agree less than they would without ties"
    if all(first):
        return f"{lower[0].upper()}{lower[1:]}."
    return f"{drawn[0].upper()}{drawn[1:]}" + (f"; under ties=first {lower}." if any(first) else ".")


def _distinct(frame: pd.DataFrame, columns: list[str]) -> list[tuple]:
    return list(frame[columns].drop_duplicates().itertuples(index=False, name=None))


def _named(layers: Sequence[str]) -> str:
    """The first few layers by name, and how many more there are."""
    more = f" and {len(layers) - 3} more" if len(layers) > 4 else ""
    return f"layer{'s' * (len(layers) > 1)} {', '.join(layers[: 3 if more else 4])}{more}"
