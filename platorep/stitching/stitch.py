"""Stitches every layer of a sender to every layer of a receiver, with the controls that say what this is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from platorep.core.version import __version__
from platorep.results.stitching import StitchingTable
from platorep.stats import items
from platorep.stitching.affine import (
    Direct,
    Side,
    Stitch,
    by_task,
    direct,
    logits_through,
    resized,
    rows_of,
)
from platorep.training.networks import Network, batched
from platorep.training.pictures import Labelled


SELF, SHUFFLED, RANDOM, UNRELATED = "self", "shuffled", "random", "unrelated"
NOISE, PIXELS, PROBE = "noise", "pixels", "probe"
"""Controls: the receiver itself, pairs broken, random weights, another task, noise by class, pixels, sender alone."""

DIRECT, TASK = "direct", "task"
"""Methods: direct matching of activations, and task-loss matching."""

RANKS = (1, 2, 5, 10, 20)
"""Largest ranks of a direct match between corresponding layers, beside a map of any rank."""

SPREAD = 0.1
"""Standard deviation of the noise around the tensor of a class."""

Progress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Parts:
    """Pictures that no other part holds: for the fit, for the choice of the penalty, and for the results."""

    fit: Labelled
    select: Labelled
    test: Labelled

    def __iter__(self) -> Iterator[Labelled]:
        return iter((self.fit, self.select, self.test))


class Sender:
    """What is sent: the layers of a network or of a control, on the pictures of all parts.

    Args:
        name: of the model.
        layers: function from a part's pictures and labels to its layers.
        parts: the pictures.
        control: empty for a trained network.
    """

    def __init__(self, name: str, layers: Callable[[Labelled], list[torch.Tensor]], parts: Parts, control: str) -> None:
        self.name, self.control, self._layers, self._parts = name, control, layers, parts

    @cached_property
    def states(self) -> list[list[torch.Tensor]]:
        """Layers, and of each layer the states of fit, select and test."""
        with torch.no_grad():
            return [list(layer) for layer in zip(*map(self._layers, self._parts), strict=True)]

    def forget(self) -> None:
        """Frees the states, which are the largest part of the memory."""
        self.__dict__.pop("states", None)


class Receiver:
    """A network that receives, with its own layers and answers.

    Args:
        name: of the model.
        network: it, frozen.
        width: of its architecture.
        parts: the pictures.
    """

    def __init__(self, name: str, network: Network, width: int, parts: Parts) -> None:
        self.name, self.network, self.width, self.parts = name, network.eval().requires_grad_(False), width, parts

    @cached_property
    def sender(self) -> Sender:
        """The same network as a sender."""
        return Sender(self.name, partial(layers_of, self.network), self.parts, "")

    @cached_property
    def answers(self) -> torch.Tensor:
        """The classes that it says for the test pictures."""
        states = self.sender.states[-1][2]
        with torch.no_grad():
            return batched(partial(self.top, len(self.network.stages)), states).argmax(1)

    def top(self, count: int, state: torch.Tensor) -> torch.Tensor:
        """Logits from its layer after `count` stages."""
        return self.network.top(state, count)


@torch.no_grad()
def layers_of(network: Network, part: Labelled) -> list[torch.Tensor]:
    """The layers of a network on the pictures of a part."""
    return network.layers(part.pictures)


def class_noise(shapes: Sequence[Sequence[int]], classes: int, seed: int, part: Labelled) -> list[torch.Tensor]:
    """A sender that knows the class and nothing else, in the shapes of a network's layers.

    One uniform random tensor per class and layer, the same for all parts, plus Gaussian noise, clamped to [0, 1] (after
    Functional Alignment Can Mislead, ICML 2025).
    """
    layers = []
    for number, shape in enumerate(shapes):
        centres = torch.rand(classes, *shape, generator=torch.Generator().manual_seed(seed + number))
        generator = torch.Generator().manual_seed(seed + 1000 * (number + 1) + len(part))
        noise = SPREAD * torch.randn(len(part), *shape, generator=generator)
        layers.append((centres[part.labels] + noise).clamp_(0, 1))
    return layers


def pictures_as_layer(like: torch.Tensor, part: Labelled) -> list[torch.Tensor]:
    """The pictures themselves as one layer: a vector, a map, or tokens of patches, as the receiver's layers are."""
    if like.ndim == 3:
        step = round(part.pictures.shape[-1] / like.shape[1] ** 0.5)
        return [torch.nn.functional.unfold(part.pictures, step, stride=step).transpose(1, 2)]
    return [part.pictures if like.ndim == 4 else part.pictures.flatten(1)]


def stitch(
    pairs: Sequence[tuple[Sender, Receiver]],
    *,
    epochs: int = 10,
    rows: int = 20000,
    seed: int = 0,
    threads: int = 1,
    dataset: str = "",
    progress: Progress | None = None,
) -> StitchingTable:
    """All pairs of layers of all senders and receivers, by direct and by task-loss matching.

    Two trained networks give, for corresponding layers, also direct matches of limited rank and from broken pairs. Each
    sender's layers are also read by a linear probe, trained like a stitch.

    Args:
        pairs: senders with their receivers.
        epochs: of task-loss matching and of probes.
        rows: most pictures x positions of a direct match; more are drawn at random.
        seed: of draws, orders and first weights of probes.
        threads: pairs at a time; results do not depend on it.
        dataset: name of the test pictures.
        progress: called after each pair.

    Raises:
        FeatureError: layers of a pair cannot be stitched: a vector to a map.

    Cost: per pair of layers, `epochs` passes of the receiver's top over the pictures of the fit. Memory: the states of
    all layers of all trained senders, and of `threads` controls.
    """
    jobs: list[Callable[[], list[dict[str, Any]]]] = []
    jobs += [partial(_once if x.control else _pair, x, y, epochs, rows, seed) for x, y in pairs]
    readers = {id(sender): (sender, receiver) for sender, receiver in pairs if not sender.control}
    jobs += [partial(_probes, sender, receiver, epochs, seed) for sender, receiver in readers.values()]
    records: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1):
        for number, result in enumerate(pool.map(lambda job: job(), jobs)):
            records += result
            if progress is not None:
                progress(number + 1, len(jobs), str(result[0]["x_model"]))
    empty = {"dataset": dataset, "seed": seed, "version": __version__, "rank": 0, "rows": 0}
    empty |= dict.fromkeys(("r2", "strength", "freedom", "train_loss"), np.nan)
    return StitchingTable.from_frame(pd.DataFrame([{**empty, **row} for row in records]))


def _once(sender: Sender, receiver: Receiver, epochs: int, rows: int, seed: int) -> list[dict[str, Any]]:
    """The rows of a control, whose states are then freed: it has one receiver."""
    records = _pair(sender, receiver, epochs, rows, seed)
    if sender.control != SELF:
        records += _probes(sender, receiver, epochs, seed)
    sender.forget()
    return records


def _pair(sender: Sender, receiver: Receiver, epochs: int, rows: int, seed: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for m, theirs in enumerate(receiver.sender.states):
        for number, ours in enumerate(sender.states):
            states = [resized(state, theirs[0]) for state in ours]
            places = [_places(state, rows, seed) for state in theirs[:2]]
            side = Side(*(rows_of(state)[place] for state, place in zip(states, places, strict=False)))
            target = [rows_of(state)[place] for state, place in zip(theirs, places, strict=False)]
            cell = _Cell(sender, receiver, number, m, states, seed)
            match = direct(side, target[0], target[1])
            records.append(cell.row(DIRECT, match.stitch, match, rows=len(target[0])))
            trained, loss = by_task(
                match.stitch, cell.top, states[0], receiver.parts.fit.labels, epochs=epochs, seed=seed
            )
            records.append(cell.row(TASK, trained, train_loss=loss))
            if sender.control == "" and number == m:
                for rank in RANKS:
                    if rank < min(side.fit.shape[1], target[0].shape[1]):
                        low = direct(side, target[0], target[1], rank=rank)
                        records.append(cell.row(DIRECT, low.stitch, low, rank=rank, rows=len(target[0])))
                order = np.random.default_rng(seed).permutation(len(target[0]))
                broken = direct(side, target[0][order], target[1])
                row = cell.row(DIRECT, broken.stitch, broken, rows=len(target[0]))
                records.append(row | {"control": SHUFFLED})
    return records


@dataclass(frozen=True)
class _Cell:
    """One layer of a sender and one of a receiver."""

    sender: Sender
    receiver: Receiver
    x_layer: int
    y_layer: int
    states: list[torch.Tensor]  # of the sender, on the grid of the receiver
    seed: int

    def top(self, state: torch.Tensor) -> torch.Tensor:
        """Logits from the receiver's layer."""
        return self.receiver.top(self.y_layer + 1, state)

    def row(self, method: str, stitch: Stitch, match: Direct | None = None, **more: Any) -> dict[str, Any]:
        """A row of the table: facts of the layers, and scores of the stitched network on test pictures."""
        said = logits_through(stitch, self.top, self.states[2]).argmax(1)
        facts = _facts(self.sender, self.receiver, self.x_layer) | {"y_layer": self.y_layer, "method": method}
        facts |= {"y_model": self.receiver.name, "x_width": stitch.weight.shape[0], "y_width": stitch.weight.shape[1]}
        if match is not None:
            facts |= {"r2": match.explained, "strength": match.strength, "freedom": match.freedom}
        return facts | _scores(said, self.receiver) | more


def _facts(sender: Sender, receiver: Receiver, layer: int) -> dict[str, Any]:
    facts = {"architecture": receiver.network.kind, "width": receiver.width, "x_model": sender.name, "x_layer": layer}
    sizes = {"n_fit": len(receiver.parts.fit), "n_test": len(receiver.parts.test)}
    return facts | sizes | {"control": sender.control}


def _scores(said: torch.Tensor, receiver: Receiver) -> dict[str, Any]:
    """Accuracy, penalty with its interval, agreement, and the four shares of right and wrong."""
    truth = receiver.parts.test.labels
    stitched, own = (said == truth).numpy(), (receiver.answers == truth).numpy()
    penalty = items.mean(own.astype(float) - stitched.astype(float))
    shares = {"both_right": stitched & own, "only_stitched": stitched & ~own, "only_receiver": ~stitched & own}
    shares["neither"] = ~stitched & ~own
    return {
        "accuracy": float(stitched.mean()),
        "receiver": float(own.mean()),
        "penalty": penalty.score,
        "low": penalty.low,
        "high": penalty.high,
        "agreement": float((said == receiver.answers).double().mean()),
        **{name: float(values.mean()) for name, values in shares.items()},
    }


def _places(state: torch.Tensor, most: int, seed: int) -> np.ndarray:
    """Rows of a layer for a direct match: all, or a random draw in ascending order."""
    width = state.shape[1] if state.ndim == 4 else state.shape[-1]
    count = state.numel() // width
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _probes(sender: Sender, receiver: Receiver, epochs: int, seed: int) -> list[dict[str, Any]]:
    """A linear classifier of each of the sender's layers, all positions included."""
    records = []
    fit = receiver.parts.fit
    for number, (seen, _, tested) in enumerate(sender.states):
        flat = seen.flatten(1)
        start = Stitch(torch.zeros(flat.shape[1], len(fit.classes)), torch.zeros(len(fit.classes)))
        probe, loss = by_task(start, lambda logits: logits, flat, fit.labels, epochs=epochs, seed=seed)
        said = logits_through(probe, lambda logits: logits, tested.flatten(1)).argmax(1)
        facts = _facts(sender, receiver, number) | {"y_layer": number, "y_model": "", "method": PROBE}
        if sender.control == "":
            facts["control"] = PROBE
        facts |= {"x_width": flat.shape[1], "y_width": len(fit.classes), "train_loss": loss}
        records.append(facts | _scores(said, receiver))
    return records
