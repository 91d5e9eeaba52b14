"""Bits per byte of a causal language model over documents, by sliding windows.

The number compares models with different tokenizers: what a text costs in bits does not depend on how it is cut, and
its UTF-8 bytes are counted once, whatever the tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from platorep.core.errors import DataError, SpecError
from platorep.extract.batches import Budget, encode_within, pack
from platorep.models.base import Tokens
from platorep.models.language import LanguageEncoder
from platorep.stats.ratios import mean_of_ratios, ratio_of_sums


log = logging.getLogger(__name__)

VERSION = 1
"""Raised whenever the numbers change."""

AT_ONCE = 1 << 16
"""Tokens whose windows are packed into batches together."""


@dataclass(frozen=True)
class Bits:
    """What documents cost under one model.

    Attributes:
        bits: of every document, shape (n,), float64.
        bytes: UTF-8 bytes of every document, shape (n,).
        tokens: text tokens of all documents together.
        lossy: documents that the tokenizer does not give back as they were.
        released: whether the first token went unscored where the tokenizer puts no start token.
    """

    bits: np.ndarray
    bytes: np.ndarray
    tokens: int
    lossy: int
    released: bool

    def per_byte(self) -> tuple[float, float]:
        """Bits per byte with its standard error over documents.

        Total bits over total bytes; under the released code's convention the mean over documents of each one's ratio.
        """
        return (mean_of_ratios if self.released else ratio_of_sums)(self.bits, self.bytes)


def windows(ids: Sequence[int], prefix: Sequence[int], *, context: int, stride: int) -> Iterator[Tokens]:
    """Windows of a document that score each of its tokens exactly once.

    Each window holds the prefix and `context - 1` text tokens, begins `stride` tokens after the one before, and scores
    the tokens that no earlier window has: all but the first window's tokens are seen after at least `context - 1 -
    stride` others. The number of text tokens does not depend on whether there is a prefix, so that models with and
    without a start token see equally far.

    Args:
        ids: the document's tokens, special tokens left out; at least one.
        prefix: what begins every window: the start token, or nothing.
        context: tokens a window, start token included.
        stride: from window to window, 1 to `context - 1`.
    """
    width, scored = context - 1, 0
    for low in range(0, len(ids), stride):
        high = min(low + width, len(ids))
        own = [*prefix, *ids[low:high]]
        yield Tokens(own, [True] * len(own), [False] * len(prefix) + [at >= scored for at in range(low, high)])
        scored = high
        if high == len(ids):
            return


def document_bits(
    encoder: LanguageEncoder,
    texts: Sequence[str],
    *,
    context: int,
    stride: int,
    budget: Budget,
    released: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Bits:
    """Bits of every document: -log2 p of each token given those before it in its window.

    Every window begins with the start token (the tokenizer's BOS, else its EOS), whether or not the tokenizer would put
    it there; it is never scored. Where the tokenizer has neither, a document's first token is taken as uniform over the
    vocabulary. With `released` windows begin with what the tokenizer itself puts there, and where that is nothing the
    first token is not scored, as in the paper's released code; that favours tokenizers without a start token.

    Args:
        encoder: a causal model that gives probabilities (`encoder.scores`).
        texts: the documents; none may be empty.
        context: tokens a window, start token included; at most what the model takes.
        stride: tokens from window to window, 1 to `context - 1`.
        budget: tokens a batch; results do not depend on it beyond rounding.
        released: the released code's convention.
        progress: called with documents done and to do.

    Raises:
        SpecError: a window that the model cannot take, or a stride that would leave tokens out.
        DataError: a document without tokens.

    Cost: about (context / stride) forward passes over the corpus; memory: one batch and `LOGITS_AT_ONCE` logits.
    """
    if not 1 <= stride < context:
        raise SpecError(
            f"corpus.stride is {stride}; expected 1 to corpus.context - 1 = {context - 1}, "
            "so that every token is scored."
        )
    limit = encoder.limit(None)
    if limit is not None and context > limit:
        raise SpecError(
            f"{encoder.spec.name} takes {limit} tokens; corpus.context is {context}. "
            f"Set corpus.context={limit} for all models."
        )
    encoder.select("last")
    prefix = own_prefix(encoder.tokenizer) if released else () if encoder.start is None else (encoder.start,)
    which = "bits_released" if released else "bits"
    bits, tokens, lossy = np.zeros(len(texts)), 0, 0
    waiting: list[tuple[int, Tokens]] = []
    size = 0
    for number, text in enumerate(texts):
        ids = encoder.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        if not ids:
            raise DataError(
                f"{encoder.spec.name}: document {number} ({text[:40]!r}) gives no tokens. Leave it out of the corpus."
            )
        lossy += encoder.tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip() != text.strip()
        tokens += len(ids)
        waiting += [(number, window) for window in windows(ids, prefix, context=context, stride=stride)]
        size += len(ids)
        if size >= AT_ONCE or number == len(texts) - 1:
            _score(encoder, waiting, which, budget, bits)
            waiting, size = [], 0
            if progress is not None:
                progress(number + 1, len(texts), "")
    if lossy:
        log.warning(
            "%s: its tokenizer does not give back %d of %d documents as they were; what it drops costs no bits, so "
            "that its bits per byte are too low.", encoder.spec.name, lossy, len(texts),
        )  # fmt: skip
    return Bits(bits, np.array([len(text.encode()) for text in texts]), tokens, lossy, released)


def own_prefix(tokenizer: object) -> tuple[int, ...]:
    """The special tokens that a tokenizer puts before a text by itself."""
    made = tokenizer("a", return_special_tokens_mask=True)  # type: ignore[operator]
    special = made["special_tokens_mask"]
    return tuple(made["input_ids"][: special.index(0)])


def _score(
    encoder: LanguageEncoder, waiting: list[tuple[int, Tokens]], which: str, budget: Budget, bits: np.ndarray
) -> None:
    """Adds the bits of windows to their documents' in place."""
    for batch in pack([len(tokens) for _, tokens in waiting], budget.tokens):
        longest = len(waiting[batch[0]][1])
        for part, encoded in encode_within(encoder.encode, [waiting[i][1] for i in batch], longest, budget):
            for i, value in zip(batch[part], encoded.scalars[which].tolist(), strict=True):
                bits[waiting[i][0]] += value
