"""The folder source: its tables, splits, revision, and what it says of faults."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import soundfile
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
        UnknownNameError,
        match="unknown column word of dataset source .* 'caption'.*Known: category, id, image, sound, text",
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


@pytest.fixture
def recordings(tmp_path):
    """Four tones in formats of their own: names and captions."""
    root = tmp_path / "sounds"
    root.mkdir()
    formats = {"a.wav": "PCM_U8", "b.wav": "PCM_24", "c.flac": "PCM_16", "d.wav": "FLOAT"}
    for number, (name, subtype) in enumerate(formats.items()):
        tone = np.sin(np.arange(4000) * (0.1 + 0.1 * number))
        soundfile.write(root / name, np.stack([tone] * (1 + number), axis=1), 8000, subtype=subtype)
    rows = [{"file_name": name, "text": f"tone {name[0]}"} for name in formats]
    pd.DataFrame(rows).to_csv(root / "metadata.csv", index=False)
    return root


def test_a_folder_of_sounds_is_read_like_one_of_pictures(recordings, caplog):
    soundfile.write(recordings / "unlisted.wav", np.sin(np.arange(4000.0)), 8000)
    with caplog.at_level(logging.WARNING):
        data = open_dataset(DatasetSpec(name="mine", source="folder", id=str(recordings)))
    assert "1 sounds have no row in the metadata and are not samples, first ['unlisted.wav']" in caplog.text
    assert data.samples.ids == ["a.wav", "b.wav", "c.flac", "d.wav"]
    assert data.samples.sounds == [1, 1, 1, 1]
    assert data.samples.pictures == [0, 0, 0, 0]
    for number in range(4):
        heard = data.sound(number)
        tone = np.sin(np.arange(4000) * (0.1 + 0.1 * number))
        assert heard.rate == 8000
        assert np.abs(heard.samples - tone).max() < (0.02 if number == 0 else 1e-4)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "sound is empty: the file has no bytes"),
        (b"no sound at all", "sound is unreadable"),
        (np.zeros(4000), "sound is silent"),
        (np.full(4000, np.nan), "4000 samples that are not finite"),
        (b"\x1aE\xdf\xa3" + bytes(60), "sound is in a Matroska or WebM container"),
        (None, "'b.wav'.*does not exist|is missing"),
    ],
)
def test_a_folder_with_what_is_no_usable_sound_names_it(recordings, raw, reason):
    if isinstance(raw, np.ndarray):
        soundfile.write(recordings / "b.wav", raw, 8000, subtype="FLOAT")
    elif raw is None:
        (recordings / "b.wav").unlink()
    else:
        (recordings / "b.wav").write_bytes(raw)
    spec = DatasetSpec(name="mine", source="folder", id=str(recordings))
    with pytest.raises(DataError, match=f"1 of 4 samples are bad .*b.wav: .*{reason}" if raw is not None else "b.wav"):
        open_dataset(spec)
    assert open_dataset(spec.replace(on_bad_sample="drop")).samples.ids == ["a.wav", "c.flac", "d.wav"]


def test_sounds_beside_pictures_are_in_a_column_of_their_own(recordings):
    names = ["a.wav", "b.wav", "c.flac", "d.wav"]
    for number in range(4):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(recordings / f"{number}.png")
    rows = [{"file_name": f"{i}.png", "audio": name, "text": name} for i, name in enumerate(names)]
    pd.DataFrame(rows).to_csv(recordings / "metadata.csv", index=False)
    spec = DatasetSpec(name="mine", source="folder", id=str(recordings), columns={"sound": "audio"})
    data = open_dataset(spec)
    assert data.samples.ids == ["0.png", "1.png", "2.png", "3.png"]
    assert data.samples.sounds == [1, 1, 1, 1]
    assert data.picture(2).getpixel((0, 0)) == (2, 0, 0)
    assert open_dataset(spec.replace(columns={})).samples.sounds is None
    with pytest.raises(UnknownNameError, match=r"sound column of dataset 'mine', set by columns.sound, 'sounds'"):
        open_dataset(spec.replace(columns={"sound": "sounds"}))
