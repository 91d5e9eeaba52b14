"""Documents for bits per byte: captions, a folder of text files, or a text dataset of the Hub."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from platorep.core.errors import DataError, SpecError, unknown_name
from platorep.core.samples import Samples, ids_digest
from platorep.core.specs import CorpusSpec
from platorep.core.text import is_unicode, visible
from platorep.data.tables import read_text


@dataclass(frozen=True)
class Corpus:
    """Ordered documents with a name.

    Attributes:
        name: name of the corpus, with its revision, if any.
        texts: the documents.
    """

    name: str
    texts: list[str]

    @property
    def digest(self) -> str:
        """First 12 hex digits of SHA-256 over all texts, in order."""
        return ids_digest(self.texts)[:12]

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of all documents."""
        return sum(len(text.encode()) for text in self.texts)

    def __str__(self) -> str:
        return f"{self.name} ({len(self.texts)} documents, {self.bytes} bytes, {self.digest})"


def read_corpus(spec: CorpusSpec, samples: Samples | None = None) -> Corpus:
    """Reads whole documents of a corpus in order until `max_bytes` is reached.

    Args:
        spec: the corpus.
        samples: samples of the dataset whose captions are the documents, for source "captions".

    Raises:
        SpecError: source "folder" has no folder, or "captions" has no samples.
        DataError: there are no documents, a document is empty, or a file is not UTF-8.
        AssetError: the dataset cannot be fetched from the Hub.
    """
    documents: Iterable[tuple[str, str]]
    if spec.source == "captions":
        if samples is None:
            raise SpecError("corpus=captions needs the samples of a dataset. Run `platorep extract` first.")
        first = (captions[0] for captions in samples.captions)
        name, documents = spec.name, zip(samples.ids, first, strict=True)
    elif spec.source == "folder":
        name, documents = spec.name, _files(spec)
    else:
        name, documents = _rows(spec)
    texts = list(_limited(spec, documents))
    if not texts:
        raise DataError(f"corpus {spec.name!r} has no documents.")
    return Corpus(name, texts)


def _limited(spec: CorpusSpec, documents: Iterable[tuple[str, str]]) -> Iterator[str]:
    size = 0
    for name, text in documents:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"corpus {spec.name!r}: document {name} is empty or not text. Leave it out.")
        if not is_unicode(text):
            raise DataError(f"corpus {spec.name!r}: document {name} is not valid Unicode. Leave it out.")
        yield text
        size += len(text.encode())
        if spec.max_bytes is not None and size >= spec.max_bytes:
            return


def _files(spec: CorpusSpec) -> Iterator[tuple[str, str]]:
    if not spec.id:
        raise SpecError("corpus=folder has no folder: set corpus.id=/path/to/text/files.")
    root = Path(spec.id).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{visible(str(root))} is not a folder; relative paths start at {Path.cwd()}. Set corpus.id to a folder "
            "with .txt files."
        )
    paths = [path for path in root.rglob("*") if path.suffix.lower() == ".txt" and path.is_file()]
    for path in sorted(paths, key=lambda path: path.relative_to(root).as_posix()):
        try:
            yield visible(str(path)), read_text(path)
        except OSError as error:
            raise DataError(f"{visible(str(path))} cannot be read: {error.strerror}.") from error


def _rows(spec: CorpusSpec) -> tuple[str, Iterator[tuple[str, str]]]:
    """Rows of a Hub dataset, of which only the necessary first files are fetched, or of a local folder."""
    from platorep.assets import resolve_revision
    from platorep.data import repositories

    local = Path(spec.id).expanduser()
    if local.is_dir():
        name, rows = spec.name, repositories.stream_local(local, spec.config, spec.split)
    else:
        commit = resolve_revision(spec.id, spec.revision, repo_type="dataset")
        name, rows = f"{spec.name}@{commit[:12]}", repositories.stream(spec.id, commit, spec.config, spec.split)
    first = next(rows, None)
    if first is not None and spec.column not in first:
        raise unknown_name(f"column of corpus {spec.id}", spec.column, first)
    chained = itertools.chain([] if first is None else [first], rows)
    return name, ((f"row {i}", row[spec.column]) for i, row in enumerate(chained))
