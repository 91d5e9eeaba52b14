"""Contrastive learners over a finite world: encoders, objectives, and reproducible training.

The world is finite, so the objectives' expectations are computed exactly, as sums over all pairs weighted by P_coor and
by P x P; drawing negatives is an option, which shows the effect of sampling. Several seeds train at once: every
parameter has a leading axis of seeds, and Adam treats elements separately, so seeds do not influence each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from platorep.core.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An embedding of symbols, f: symbols -> R^dim.

    Args:
        dim: dimension of the embedding.
        width: hidden units of a network with one hidden layer of tanh units on the symbol's code; None: a free vector
            for every symbol (tabular).
        init: scale of the initial weights, as a multiple of 1/sqrt(fan in).
    """

    dim: int = 64
    width: int | None = None
    init: float = 1.0

    def parameters(self, symbols: int, code_width: int, seeds: Sequence[int]) -> list[torch.Tensor]:
        """Initial weights, with a leading axis of seeds. The weights of a seed do not depend on the other seeds."""
        if self.width is None:
            shapes = [(symbols, self.dim, self.dim)]
        else:
            shapes = [(code_width, self.width, 1), (self.width, self.dim, self.width)]
        weights: list[list[torch.Tensor]] = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            weights.append(
                [
                    torch.randn(r, c, generator=generator, dtype=torch.float64) * (self.init / math.sqrt(fan))
                    for r, c, fan in shapes
                ]
            )
        stacked = [torch.stack([w[i] for w in weights]) for i in range(len(shapes))]
        if self.width is not None:
            stacked.append(torch.zeros(len(seeds), 1, self.width, dtype=torch.float64))
        return [w.requires_grad_() for w in stacked]

    def hidden(self, parameters: Sequence[torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
        """Values of the tanh units, shape (seeds, symbols, width)."""
        return torch.tanh(codes @ parameters[0] + parameters[2])

    def embed(self, parameters: Sequence[torch.Tensor], codes: torch.Tensor) -> torch.Tensor:
        """Embeddings of all symbols, shape (seeds, symbols, dim)."""
        return parameters[0] if self.width is None else self.hidden(parameters, codes) @ parameters[1]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss to minimise. g(a, b) = <f(a), f(b)> except for sgns and prediction.

    nce: p_pos E_{P_coor}[-log s(g)] + (1 - p_pos) E_{PxP}[-log s(-g)], s the logistic function (paper, Eq. 20). Optimum
        g = K_PMI + log(p_pos / (1 - p_pos)).
    infonce: E_{P_coor}[-g/t] + E_P(a) log E_P(b) exp(g/t), the limit of many negatives (up to log K);
        with `negatives` = K, the loss with K sampled negatives. Optimum g = t (K_PMI + c) for either.
    sgns: nce with a second table for the other side of the pair, g(a, b) = <f(a), h(b)> (word2vec): f alone is not tied
        to K_PMI.
    prediction: cross-entropy of b given a, logits <f(a), h(b)> (a language model's loss): the optimum is
        log P_coor(b | a) up to a constant in b.

    Args:
        loss: one of the four.
        p_pos: share of positives (nce, sgns).
        temperature: t (infonce).
        negatives: None for exact expectations, or the number of negatives drawn for each of `batch` pairs in each step
            (nce, sgns: the negatives' total weight is still 1 - p_pos).
        batch: pairs drawn per step when negatives are sampled.
    """

    loss: Literal["nce", "infonce", "sgns", "prediction"] = "nce"
    p_pos: float = 0.9
    temperature: float = 1.0
    negatives: int | None = None
    batch: int = 512

    def __post_init__(self) -> None:
        if self.loss not in ("nce", "infonce", "sgns", "prediction"):
            raise SpecError(f"loss must be nce, infonce, sgns or prediction; got {self.loss!r}.")
        if not 0 < self.p_pos < 1 or self.temperature <= 0:
            raise SpecError(
                f"p_pos must lie in (0, 1) and the temperature above 0; got {self.p_pos} and {self.temperature}."
            )
        if self.negatives is not None and (self.negatives < 1 or self.loss == "prediction"):
            raise SpecError(
                f"negatives must be None or at least 1, and prediction has none; "
                f"got {self.negatives} for {self.loss!r}."
            )

    @property
    def two_tables(self) -> bool:
        """Whether the other side of a pair has its own encoder."""
        return self.loss in ("sgns", "prediction")

    @property
    def offset(self) -> float | None:
        """Predicted constant between the learned Gram matrix and K_PMI; None if the loss leaves it free."""
        return math.log(self.p_pos / (1 - self.p_pos)) if self.loss in ("nce", "sgns") else None

    def exact(self, g: torch.Tensor, joint: torch.Tensor) -> torch.Tensor:
        """Expected loss of every seed, shape (seeds,), for g and P_coor of shape (seeds, n, n)."""
        marginal = joint.sum(-1)
        if self.loss in ("nce", "sgns"):
            independent = marginal[..., :, None] * marginal[..., None, :]
            positive = self.p_pos * joint
            weight = positive + (1 - self.p_pos) * independent
            return (weight * functional.softplus(g) - positive * g).sum((-1, -2))  # softplus(-g) = softplus(g) - g
        if self.loss == "infonce":
            g = g / self.temperature
            partition = torch.logsumexp(g + torch.log(marginal)[..., None, :], -1)
        else:
            partition = torch.logsumexp(g, -1)
        return (marginal * partition).sum(-1) - (joint * g).sum((-1, -2))

    def sampled(self, g: torch.Tensor, joint: torch.Tensor, negatives: int, generator: torch.Generator) -> torch.Tensor:
        """The loss on `batch` drawn pairs with `negatives` negatives each, shape (seeds,)."""
        seeds, n, _ = g.shape
        pairs = torch.multinomial(joint.reshape(seeds, n * n), self.batch, replacement=True, generator=generator)
        others = torch.multinomial(joint.sum(-1), self.batch * negatives, replacement=True, generator=generator)
        anchors = pairs // n
        flat = g.reshape(seeds, n * n)
        positive = flat.gather(1, pairs)
        negative = flat.gather(1, (anchors[..., None] * n + others.view(seeds, self.batch, -1)).flatten(1)).view(
            seeds, self.batch, -1
        )
        if self.loss == "infonce":
            logits = torch.cat([positive[..., None], negative], -1) / self.temperature
            return (torch.logsumexp(logits, -1) - logits[..., 0]).mean(-1)
        return self.p_pos * functional.softplus(-positive).mean(-1) + (1 - self.p_pos) * functional.softplus(
            negative
        ).mean((-1, -2))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Adam in double precision, full batch; the rate falls to zero as a cosine.

    Args:
        steps: number of steps.
        rate: initial learning rate.
        record: steps after which the embeddings are recorded; the last step is always recorded.
    """

    steps: int = 3000
    rate: float = 0.03
    record: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Attributes:
        embeddings: shape (seeds, symbols, dim) float64.
        losses: expected loss at the end, shape (seeds,), exact even when training sampled.
        others: embeddings of the other side, if the objective has two tables.
        history: (step, embeddings, others) at the recorded steps, step 0 being the initial state.
    """

    embeddings: np.ndarray
    losses: np.ndarray
    others: np.ndarray | None = None
    history: list[tuple[int, np.ndarray, np.ndarray | None]] = field(default_factory=list)


def _check_shapes(joints: np.ndarray, codes: np.ndarray, seeds: Sequence[int]) -> None:
    if (
        joints.ndim != 3
        or codes.ndim != 3
        or not len(joints) == len(codes) == len(seeds)
        or joints.shape[1] != codes.shape[1]
    ):
        raise SpecError(
            f"{len(seeds)} seeds need joints (seeds, n, n) and codes (seeds, n, width); "
            f"got {joints.shape} and {codes.shape}."
        )


def train(
    joints: np.ndarray,
    codes: np.ndarray,
    encoder: Encoder,
    objective: Objective,
    schedule: Schedule,
    seeds: Sequence[int],
) -> Trained:
    """Trains one encoder per seed.

    Args:
        joints: P_coor over symbols for each seed, shape (seeds, n, n).
        codes: codes for each seed, shape (seeds, n, code width); a tabular encoder ignores them.
        encoder: architecture of the encoder.
        objective: loss to minimise.
        schedule: number of steps and learning rate.
        seeds: seeds of the initial weights and of all random draws.

    Returns:
        The trained embeddings. Deterministic on a CPU for given seeds. Cost steps x seeds x n^2 dim.

    Raises:
        SpecError: shapes do not fit.
    """
    _check_shapes(joints, codes, seeds)
    joint, code = torch.from_numpy(joints), torch.from_numpy(codes)
    n, width = code.shape[1:]
    parameters = encoder.parameters(n, width, seeds)
    other = (
        Encoder(dim=encoder.dim, init=encoder.init).parameters(n, width, [s + 1_000_003 for s in seeds])
        if objective.two_tables
        else []
    )
    generator = torch.Generator().manual_seed(seeds[0])

    def gram() -> torch.Tensor:
        f = encoder.embed(parameters, code)
        return f @ (other[0] if other else f).mT

    optimiser = torch.optim.Adam([*parameters, *other], lr=schedule.rate, fused=True)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.steps)
    wanted, history = set(schedule.record), []
    for step in range(schedule.steps + 1):
        if step in wanted or (step == schedule.steps and wanted):
            with torch.no_grad():
                history.append(
                    (
                        step,
                        encoder.embed(parameters, code).numpy().copy(),
                        other[0].detach().numpy().copy() if other else None,
                    )
                )
        if step == schedule.steps:
            break
        optimiser.zero_grad()
        g = gram()
        loss = (
            objective.exact(g, joint)
            if objective.negatives is None
            else objective.sampled(g, joint, objective.negatives, generator)
        )
        loss.sum().backward()
        optimiser.step()
        rates.step()
    with torch.no_grad():
        losses = objective.exact(gram(), joint).numpy().copy()
        embeddings = encoder.embed(parameters, code).numpy().copy()
    return Trained(embeddings, losses, other[0].detach().numpy().copy() if other else None, history)
