"""Which files of a folder count as documents, and which of their bytes."""

from __future__ import annotations

import os

import pytest

from platorep.competence.corpora import read_corpus
from platorep.core.errors import DataError
from platorep.core.samples import Samples
from platorep.core.specs import CorpusSpec


def corpus(folder):
    return read_corpus(CorpusSpec(name="mine", source="folder", id=str(folder)))


def test_endings_of_any_case_count_marks_are_removed_and_folders_and_pipes_are_passed_over(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfhello")
    (tmp_path / "B.TXT").write_bytes(b"world")
    (tmp_path / "c.txt").mkdir()
    (tmp_path / "c.txt" / "d.Txt").write_bytes(b"inside\r\n")
    os.mkfifo(tmp_path / "e.txt")
    (tmp_path / "f.txt").symlink_to("f.txt")
    (tmp_path / "notes.md").write_bytes(b"not read")
    found = corpus(tmp_path)
    assert found.texts == ["world", "hello", "inside\r\n"]
    assert found.bytes == 5 + 5 + 8


def test_name_that_is_not_utf8_does_no_harm_and_is_shown_in_errors(tmp_path):
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"coffee")
    assert corpus(tmp_path).texts == ["coffee"]
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"caf\xe9")
    with pytest.raises(
        DataError,
        match=r"caf\\udce9.txt is not UTF-8 \(unexpected end of data at byte 3, in line 1\). Save it as UTF-8",
    ):
        corpus(tmp_path)


def test_captions_that_are_no_unicode_are_refused():
    samples = Samples(["a", "b"], [["fine"], ["half \ud83d"]])
    with pytest.raises(DataError, match="document b is not valid Unicode"):
        read_corpus(CorpusSpec(name="captions", source="captions"), samples)
