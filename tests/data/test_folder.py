"""The folder source: its tables, splits, revision, and what it says of faults."""

from __future__ import annotations

import logging

import pandas as pd
import pytest
from PIL import Image

from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.data import open_dataset


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_folder_reads_each_kind_of_table(pictures, form):
    root, rows, _ = pictures
    frame = pd.DataFrame([{**row, "kind": "odd" if i % 2 else "even"} for i, row in enumerate(rows)])
    write = {
        "csv": lambda p: frame.to_csv(p, index=False),
        "jsonl": lambda p: frame.to_json(p, orient="records", lines=True),
        "parquet": lambda p: frame.to_parquet(p),
    }[form]
    write(root / f"metadata.{form}")
    data = open_dataset(DatasetSpec(name="mine", source="folder", id=str(root), columns={"category": "kind"}))
    assert data.samples.ids == [f"{i}.png" for i in range(8)]
    assert data.samples.captions == [[f"caption {i}"] for i in range(8)]
    assert data.samples.categories[:2] == ["even", "odd"]
    assert data.picture(0).tobytes() == Image.open(root / "0.png").tobytes()


def test_captions_of_a_csv_are_never_taken_for_numbers_or_missing_values(pictures):
    root, rows, _ = pictures
    words = ["None", "NA", "007", "true", "1e5", "null", "nan", "x"]
    pd.DataFrame([{**row, "text": word} for row, word in zip(rows, words, strict=True)]).to_csv(
        root / "metadata.csv", index=False
    )
    assert [c[0] for c in open_dataset(DatasetSpec(name="m", source="folder", id=str(root))).samples.captions] == words


def test_folder_with_splits_opens_the_one_asked_for(pictures, tmp_path):
    root, _, write = pictures
    write()
    (tmp_path / "all").mkdir()
    root.rename(tmp_path / "all" / "test")
    spec = DatasetSpec(name="mine", source="folder", id=str(tmp_path / "all"), split="test")
    assert len(open_dataset(spec)) == 8
    with pytest.raises(UnknownNameError, match="unknown split of folder .* 'tset'. Did you mean 'test'"):
        open_dataset(spec.replace(split="tset"))


def test_revision_of_a_folder_follows_its_content(pictures):
    _, rows, write = pictures
    first = open_dataset(write()).spec
    assert open_dataset(write()).spec.key() == first.key()
    rows[0]["text"] = "another caption"
    second = open_dataset(write()).spec
    assert second.key() != first.key()
    with pytest.raises(
        DataError, match=f"pinned to revision {first.revision}, but .* now has {second.revision}. The folder changed"
    ):
        open_dataset(first)


def test_pictures_without_a_row_are_reported(pictures, caplog):
    _, rows, write = pictures
    del rows[-1]
    with caplog.at_level(logging.WARNING):
        assert len(open_dataset(write())) == 7
    assert "1 pictures have no row in the metadata and are not samples, first ['7.png']" in caplog.text


def test_faults_of_a_folder_are_explained(pictures, tmp_path):
    root, rows, write = pictures
    with pytest.raises(SpecError, match="has no folder: set dataset.id="):
        open_dataset(DatasetSpec(name="mine", source="folder"))
    with pytest.raises(DataError, match="nowhere is not a folder"):
        open_dataset(DatasetSpec(name="mine", source="folder", id=str(tmp_path / "nowhere")))
    with pytest.raises(DataError, match="has no metadata.csv, metadata.jsonl, metadata.parquet. Add one"):
        open_dataset(DatasetSpec(name="mine", source="folder", id=str(root)))
    spec = write()
    with pytest.raises(UnknownNameError, match="unknown text column of dataset 'mine'.* 'txt'. Did you mean 'text'"):
        open_dataset(spec.replace(columns={"text": "txt"}))
    with pytest.raises(
        UnknownNameError, match="unknown column word of dataset source .* 'caption'.*Known: category, id, image, text"
    ):
        open_dataset(spec.replace(columns={"caption": "text"}))
    rows[0]["file_name"] = "../elsewhere.png"
    with pytest.raises(DataError, match="lies outside the folder"):
        open_dataset(write())
    (root / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(DataError, match="more than one table: metadata.csv, metadata.jsonl"):
        open_dataset(spec)
    (root / "metadata.csv").unlink()
    (root / "metadata.jsonl").write_text("{")
    with pytest.raises(DataError, match="metadata.jsonl, line 1 is not JSON"):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            '{"file_name": "0.png", "text": "a"}\n\n["0.png", "a"]',
            r"line 3 is \['0.png', 'a'\]\. Each line must be an object",
        ),
        ("7", "line 1 is 7. Each line must be an object"),
        (
            '{"file_name": "0.png", "text": "a"}\n\n{"file_name": ',
            r"line 3 is not JSON \(Expecting value, column \d+\). Each line",
        ),
    ],
)
def test_faults_of_a_jsonl_are_named_by_their_line_in_the_file(pictures, lines, message):
    root, _, write = pictures
    spec = write()
    (root / "metadata.jsonl").write_text(lines)
    with pytest.raises(DataError, match=message):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("name", "content"),
    [("csv", ""), ("csv", "\n\n"), ("csv", "file_name,text\n"), ("jsonl", ""), ("jsonl", "\n"), ("parquet", "")],
)
def test_table_without_rows_is_refused_as_such(pictures, name, content):
    root, _, _ = pictures
    (root / f"metadata.{name}").write_text(content)
    with pytest.raises(DataError, match=rf"metadata.{name} has no rows; expected one per picture"):
        open_dataset(DatasetSpec(name="mine", source="folder", id=str(root)))
