"""Bits per byte of one language model over a corpus, as rows of the competence table."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from platorep.competence.rows import row, table
from platorep.core.specs import CorpusSpec, ModelSpec
from platorep.results.tables import CompetenceTable


if TYPE_CHECKING:
    from platorep.models.language import LanguageEncoder


log = logging.getLogger(__name__)


def corpus_bits(
    model: ModelSpec,
    spec: CorpusSpec,
    corpus: Any,
    *,
    device: Any,
    tokens: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> CompetenceTable:
    """Bits per byte of one model over a corpus; no rows if the model gives no probabilities.

    Args:
        model: a resolved spec of a transformers language model.
        spec: windows of the corpus; `released` adds the paper's released convention as another measure.
        corpus: the corpus, as returned by `competence.corpora.read_corpus`.
        device: the device.
        tokens: tokens per batch; None derives the budget from the device.
        progress: called with the number of documents done.

    Cost: one forward pass per window.
    """
    from platorep.competence.bits import document_bits
    from platorep.extract.batches import Budget, free_memory
    from platorep.models import load

    encoder, rows = cast("LanguageEncoder", load(model, device)), []
    try:
        if not getattr(encoder, "scores", False):
            log.warning("%s gives no probabilities of texts: it has no bits per byte.", model.name)
            return table([])
        for released in (False, True) if spec.released else (False,):
            bits = document_bits(
                encoder,
                corpus.texts,
                context=spec.context,
                stride=spec.stride,
                budget=Budget.find(tokens, device),
                released=released,
                progress=progress,
            )
            value, error = bits.per_byte()
            start = "the tokenizer's own" if released else encoder.facts["start_token"]
            lossy = f"; {bits.lossy} documents that the tokenizer does not reproduce" if bits.lossy else ""
            windows = f"context {spec.context}, stride {spec.stride}, {bits.tokens} tokens"
            rows.append(
                row(
                    model,
                    "bits_per_byte_released" if released else "bits_per_byte",
                    value,
                    error=error,
                    task=str(corpus),
                    provenance=f"{windows}; start token: {start}{lossy}",
                )
            )
    finally:
        del encoder
        free_memory()
    return table(rows)
