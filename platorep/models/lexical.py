"""Baselines that use words but no grammar: static word vectors and TF-IDF."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
import torch

from platorep.core.errors import DataError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.base import Encoded, Layers, Text, TextRules, Tokens
from platorep.models.files import fetched, find
from platorep.models.source import Source


log = logging.getLogger(__name__)

WORD = re.compile(r"\w+(?:['’]\w+)?", re.UNICODE)


class Static(Source):
    """Word vectors of an asset: one .npy (words x width) and one .parquet (words in order)."""

    modalities = ("language",)
    is_network = False

    def check(self, spec: ModelSpec) -> None:
        super().check(spec)
        _asset(spec)

    def load(self, spec: ModelSpec, device: torch.device) -> StaticEncoder:
        import pandas as pd

        path = fetched(_asset(spec))
        vectors = np.load(find(path, "*.npy"), mmap_mode="r", allow_pickle=False)
        words = pd.read_parquet(find(path, "*.parquet")).iloc[:, 0]
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise SpecError(
                f"{spec.name}: {len(words)} words do not fit vectors of shape {vectors.shape}; "
                "expected one row per word."
            )
        return StaticEncoder(spec, vectors, {str(word): row for row, word in enumerate(words)}, device)


def _asset(spec: ModelSpec) -> AssetSpec:
    if spec.asset is None:
        raise SpecError(
            f"{spec.name}: static word vectors need an asset with one .npy (words x width) "
            "and one .parquet (words in order)."
        )
    return spec.asset


LETTERS = "tfidf-letters"
"""The id of the source tfidf that counts letters, two to four in a row within words, in place of words."""


class Tfidf(Source):
    """Weights of words, or with the id `LETTERS` of sequences of letters, fitted on the captions."""

    modalities = ("language",)
    is_network = False

    def load(self, spec: ModelSpec, device: torch.device) -> TfidfEncoder:
        return TfidfEncoder(spec, device)

    def version(self, spec: ModelSpec) -> str:
        return "1"


class StaticEncoder(Layers):
    """The mean of word vectors.

    A caption without known words gets the mean of all vectors, which the authors of GloVe use for unknown words. The
    number of such captions is logged and recorded.

    Args:
        spec: the resolved spec.
        vectors: word vectors, shape (words, width); may be memory-mapped.
        index: row of every lower-case word.
        device: the device of features.
    """

    def __init__(self, spec: ModelSpec, vectors: np.ndarray, index: dict[str, int], device: torch.device) -> None:
        super().__init__(("words",))
        self.spec, self.vectors, self.index, self.device = spec, vectors, index, device
        self.unknown = torch.from_numpy(np.asarray(vectors.mean(axis=0, dtype=np.float64), dtype=np.float32))
        self.facts |= {"parameters": int(vectors.size)}

    def fit(self, texts: Sequence[str]) -> None:
        """Counts the captions without known words."""
        strange = [text for text in texts if not self._rows(text)]
        self.facts["captions_without_known_word"] = len(strange)
        if strange:
            log.warning("%s: %d captions have no known word, such as %r.", self.spec.name, len(strange), strange[0])

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Rows of the known words of every text, or only of its caption, depending on `rules.span`."""
        return [Tokens(ids=self._rows(t.text[t.start : t.stop] if rules.span == "caption" else t.text)) for t in texts]

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Mean vectors, (batch, width)."""
        rows = [
            torch.from_numpy(np.asarray(self.vectors[np.asarray(tokens.ids)], dtype=np.float32)).mean(0)
            if tokens.ids
            else self.unknown
            for tokens in batch
        ]
        return Encoded([torch.stack(rows).to(self.device)], {})

    def _rows(self, text: str) -> list[int]:
        return [self.index[word] for word in WORD.findall(text.lower()) if word in self.index]


class TfidfEncoder(Layers):
    """TF-IDF weights of words or letters, computed by scikit-learn and fitted on the captions of the dataset.

    The width is the number of distinct words, or of sequences of two to four letters within words. Features are not
    clamped, because the few large values are the signal.
    """

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        letters = spec.id == LETTERS
        super().__init__(("letters" if letters else "words",))
        self.spec, self.device = spec, device
        self.model = (
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4))
            if letters
            else TfidfVectorizer(token_pattern=r"(?u)\b\w+\b")
        )
        self.texts: list[str] = []

    def fit(self, texts: Sequence[str]) -> None:
        """Learns the vocabulary and the document frequencies.

        Raises:
            DataError: a text has no words, so its vector would be zero.
        """
        if strange := [text for text in texts if not re.search(r"\w", text)]:
            raise DataError(
                f"{self.spec.name}: {len(strange)} captions have no word, such as {strange[0]!r}; their TF-IDF would "
                "be zero. Drop them, or leave this model out."
            )
        self.model.fit(texts)
        self.facts |= {"parameters": len(self.model.vocabulary_)}

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Indices in the list of texts so far, because scikit-learn splits texts into words itself."""
        low = len(self.texts)
        self.texts += [t.text[t.start : t.stop] if rules.span == "caption" else t.text for t in texts]
        return [Tokens(ids=(low + i,)) for i in range(len(texts))]

    def encode(self, batch: Sequence[Tokens]) -> Encoded:
        """Weights, shape (batch, distinct words), with rows of length 1."""
        weights = self.model.transform([self.texts[tokens.ids[0]] for tokens in batch])
        return Encoded([torch.from_numpy(weights.toarray()).float().to(self.device)], {})
