"""Stitches every layer of a sender to every layer of a receiver, with the controls that say what this is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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
    answers,
    by_task,
    direct,
    grid_of,
    resized,
    rows_at,
    width_of,
)
from platorep.stitching.sides import PROBE, SELF, SHUFFLED, Receiver, Sender


DIRECT, TASK = "direct", "task"
"""Methods: direct matching of activations, and task-loss matching."""

RANKS = (1, 2, 5, 10, 20)
"""Largest ranks of a direct match between corresponding layers, beside a map of any rank."""

Progress = Callable[[int, int, str], object]


def stitch(
    pairs: Sequence[tuple[Sender, Receiver]],
    *,
    epochs: int = 10,
    rows: int = 20000,
    corresponding: bool = False,
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
        corresponding: whether task-loss matching takes corresponding layers alone, which large networks need.
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
    options = _Options(epochs, rows, corresponding, seed)
    jobs += [partial(_once if x.control else _pair, x, y, options) for x, y in pairs]
    readers = {id(sender): (sender, receiver) for sender, receiver in pairs if not sender.control}
    jobs += [partial(_probes, sender, receiver, options) for sender, receiver in readers.values()]
    records: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1):
        for number, result in enumerate(pool.map(lambda job: job(), jobs)):
            records += result
            if progress is not None:
                progress(number + 1, len(jobs), str(result[0]["x_model"]) if result else "")
    empty = {"dataset": dataset, "seed": seed, "version": __version__, "rank": 0, "rows": 0}
    empty |= dict.fromkeys(("r2", "strength", "freedom", "train_loss"), np.nan)
    return StitchingTable.from_frame(pd.DataFrame([{**empty, **row} for row in records]))


@dataclass(frozen=True)
class _Options:
    """Options of `stitch` for one pair."""

    epochs: int
    rows: int
    corresponding: bool
    seed: int


def _once(sender: Sender, receiver: Receiver, options: _Options) -> list[dict[str, Any]]:
    """The rows of a control, whose states are then freed: it has one receiver."""
    records = _pair(sender, receiver, options)
    if sender.control != SELF:
        records += _probes(sender, receiver, options)
    sender.forget()
    return records


def _pair(sender: Sender, receiver: Receiver, options: _Options) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    seed = options.seed
    sides: dict[tuple[int, tuple[int, ...]], Side] = {}  # decomposed once per layer and grid
    for m, theirs in enumerate(receiver.sender.states):
        places, grid = [_places(state, options.rows, seed) for state in theirs[:2]], grid_of(theirs[0])
        target = [rows_at(state, theirs[0], place) for state, place in zip(theirs, places, strict=False)]
        for number, ours in enumerate(sender.states):
            if (number, grid) not in sides:
                rows = [rows_at(state, theirs[0], place) for state, place in zip(ours, places, strict=False)]
                sides[number, grid] = Side(*rows)
            side = sides[number, grid]
            cell = _Cell(sender, receiver, number, m, ours, seed)
            match = direct(side, target[0], target[1])
            records.append(cell.row(DIRECT, match.stitch, match, rows=len(target[0])))
            if number == m or len(sender.states) == 1 or not options.corresponding:
                records.append(cell.by_task(match.stitch, options.epochs))
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
    states: list[torch.Tensor]  # of the sender, on its own grid
    seed: int

    def top(self, state: torch.Tensor) -> torch.Tensor:
        """Logits from the receiver's layer, given on the sender's grid.

        A map is resized after the stitch: both are linear, so that their order does not matter, and the sender's grid
        may hold far less.
        """
        like = self.receiver.sender.states[self.y_layer][0]
        return self.receiver.top(self.y_layer + 1, resized(state, like))

    def by_task(self, start: Stitch, epochs: int) -> dict[str, Any]:
        """The row of task-loss matching from a direct match."""
        receiver = self.receiver
        labels, at_once = receiver.parts.fit.labels, receiver.network.at_once
        trained, loss = by_task(start, self.top, self.states[0], labels, epochs=epochs, seed=self.seed, at_once=at_once)
        return self.row(TASK, trained, train_loss=loss)

    def row(self, method: str, stitch: Stitch, match: Direct | None = None, **more: Any) -> dict[str, Any]:
        """A row of the table: facts of the layers, and scores of the stitched network on test pictures."""
        receiver = self.receiver
        labels, at_once = receiver.parts.test.labels, receiver.network.at_once
        scores = _scores(answers(lambda part: self.top(stitch(part)), self.states[2], labels, at_once), receiver)
        facts = _facts(self.sender, receiver, self.x_layer) | {"y_layer": self.y_layer, "method": method}
        facts |= {"y_model": receiver.name, "x_width": stitch.weight.shape[0], "y_width": stitch.weight.shape[1]}
        facts["y_layer_name"] = receiver.network.names[self.y_layer]
        if match is not None:
            facts |= {"r2": match.explained, "strength": match.strength, "freedom": match.freedom}
        return facts | scores | more


def _facts(sender: Sender, receiver: Receiver, layer: int) -> dict[str, Any]:
    facts = {"architecture": receiver.network.kind, "width": receiver.width, "x_model": sender.name, "x_layer": layer}
    facts["x_layer_name"] = "" if sender.names is None else sender.names[layer]
    sizes = {"n_fit": len(receiver.parts.fit), "n_test": len(receiver.parts.test)}
    return facts | sizes | {"control": sender.control}


def _scores(answered: tuple[torch.Tensor, torch.Tensor], receiver: Receiver) -> dict[str, Any]:
    """Accuracy, penalty with its interval, agreement, losses, and the four shares of right and wrong.

    Shares are of pictures, or of tokens; the interval is over pictures or blocks of text.
    """
    (said, losses), (own_said, own_losses), truth = answered, receiver.own, receiver.parts.test.labels
    stitched, own = (said == truth).numpy(), (own_said == truth).numpy()
    each = own.astype(float) - stitched.astype(float)
    penalty = items.mean(each.reshape(len(each), -1).mean(1))
    shares = {"both_right": stitched & own, "only_stitched": stitched & ~own, "only_receiver": ~stitched & own}
    shares["neither"] = ~stitched & ~own
    return {
        "accuracy": float(stitched.mean()),
        "receiver": float(own.mean()),
        "penalty": penalty.score,
        "low": penalty.low,
        "high": penalty.high,
        "loss": float(losses.mean()),
        "receiver_loss": float(own_losses.mean()),
        "agreement": float((said == own_said).double().mean()),
        **{name: float(values.mean()) for name, values in shares.items()},
    }


def _places(state: torch.Tensor, most: int, seed: int) -> np.ndarray:
    """Rows of a layer for a direct match: all, or a random draw in ascending order."""
    count = state.numel() // width_of(state)
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _probes(sender: Sender, receiver: Receiver, options: _Options) -> list[dict[str, Any]]:
    """A linear classifier of each of the sender's layers, all positions included; none of tokens.

    A classifier of tokens would have more weights than most texts have tokens.
    """
    records: list[dict[str, Any]] = []
    fit, test = receiver.parts.fit, receiver.parts.test
    if fit.labels.ndim > 1:
        return records
    for number, (seen, _, tested) in enumerate(sender.states):
        flat = seen.flatten(1)
        start = Stitch(torch.zeros(flat.shape[1], len(fit.classes)), torch.zeros(len(fit.classes)))
        probe, loss = by_task(start, lambda logits: logits, flat, fit.labels, epochs=options.epochs, seed=options.seed)
        scores = _scores(answers(probe, tested.flatten(1), test.labels), receiver)
        facts = _facts(sender, receiver, number) | {"y_layer": number, "y_model": "", "method": PROBE}
        if sender.control == "":
            facts["control"] = PROBE
        facts |= {"x_width": flat.shape[1], "y_width": len(fit.classes), "train_loss": loss, "y_layer_name": ""}
        records.append(facts | scores)
    return records
