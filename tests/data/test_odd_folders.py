"""Folders from the field: odd ids, categories, names and text, each read right or refused by a sentence."""

from __future__ import annotations

import json
import logging
import os

import pandas as pd
import pytest
from PIL import Image

from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset


def spec(root, **more) -> DatasetSpec:
    return DatasetSpec(name="mine", source="folder", id=str(root), **more)


# ids and categories


def test_whole_numbers_beside_a_missing_one_stay_whole_and_the_sample_without_is_named(pictures):
    _, rows, write = pictures
    for i, row in enumerate(rows):
        row["number"] = i if i != 2 else None
    with pytest.raises(DataError, match=r"1 of 8 samples are bad \(1 x id is missing\): row 3: id is missing"):
        open_dataset(write(columns={"id": "number"}))
    samples = open_dataset(write(columns={"id": "number"}, on_bad_sample="drop")).samples
    assert samples.ids == ["0", "1", "3", "4", "5", "6", "7"]
    assert samples.dropped == [{"id": "row 3", "reason": "id is missing"}]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_ids_are_the_same_whatever_the_table_writes_them_as(pictures, kind):
    root, rows, _ = pictures
    frame = pd.DataFrame([{**row, "number": i} for i, row in enumerate(rows)])
    if kind == "csv":
        frame.to_csv(root / "metadata.csv")
    elif kind == "jsonl":
        frame.astype({"number": float}).to_json(root / "metadata.jsonl", orient="records", lines=True)
    else:
        frame.astype({"number": float}).to_parquet(root / "metadata.parquet")
    assert open_dataset(spec(root, columns={"id": "number"})).samples.ids == [str(i) for i in range(8)]


def test_several_rows_without_an_id_are_each_named_and_are_no_repeats(pictures):
    _, rows, write = pictures
    for i, row in enumerate(rows):
        row["key"] = "" if i < 3 else f"k{i}"
    samples = open_dataset(write(columns={"id": "key"}, on_bad_sample="drop", order_seed=1)).samples
    assert sorted(samples.ids) == [f"k{i}" for i in range(3, 8)]
    assert sorted(one["id"] for one in samples.dropped) == ["row 1", "row 2", "row 3"]


def test_missing_category_is_no_class_of_its_own(pictures, caplog):
    _, rows, write = pictures
    for i, row in enumerate(rows):
        row["category"] = "bird" if i != 4 else None
    with caplog.at_level(logging.WARNING):
        assert open_dataset(write()).samples.categories is None
    assert (
        "1 of 8 samples have no category, first ['4.png']: the dataset counts as one without categories" in caplog.text
    )
    chosen = {"columns": {"category": "category"}}
    with pytest.raises(DataError, match=r"4.png: category is missing"):
        open_dataset(write(**chosen))
    samples = open_dataset(write(**chosen, on_bad_sample="drop")).samples
    assert samples.categories == ["bird"] * 7
    assert samples.dropped == [{"id": "4.png", "reason": "category is missing"}]


def test_categories_that_are_numbers_are_whole(pictures):
    _, rows, write = pictures
    for i, row in enumerate(rows):
        row["category"] = float(i % 2)
    assert open_dataset(write()).samples.categories[:2] == ["0", "1"]


def test_ids_and_categories_of_other_kinds_are_refused(pictures):
    _, rows, write = pictures
    rows[0]["category"] = ["a", "b"]
    with pytest.raises(DataError, match=r"row 1: category is \['a', 'b'\] \(list\); expected text or a number"):
        open_dataset(write())
    rows[0]["category"] = "\ud83d"
    with pytest.raises(DataError, match=r"row 1: category '\\ud83d' is not valid Unicode"):
        open_dataset(write())


# text that is none


@pytest.mark.parametrize("form", ["one text", "a list"])
def test_caption_with_half_an_emoji_is_a_bad_sample_and_the_others_are_stored(pictures, tmp_path, form):
    _, rows, write = pictures
    rows[0]["text"] = "a cat \ud83d" if form == "one text" else ["a cat \ud83d"]
    with pytest.raises(DataError, match="0.png: caption is not valid Unicode"):
        open_dataset(write())
    data = open_dataset(write(on_bad_sample="drop"))
    store = FeatureStore(tmp_path / "store")
    store.write_samples(data.spec, data.samples)
    assert store.read_samples(store.dataset_dir(data.spec)) == data.samples
    assert data.samples.ids == [f"{i}.png" for i in range(1, 8)]


def test_escape_sequences_reach_neither_the_log_nor_an_error(pictures, caplog):
    root, rows, write = pictures
    rows[0]["text"] = ""
    rows[0]["key"], rows[1]["key"] = "\x1b[2Jid", "\x1b[31m"
    for i, row in enumerate(rows[2:]):
        row["key"] = str(i)
    (root / "\x1b[2Junlisted.png").write_bytes((root / "0.png").read_bytes())
    with caplog.at_level(logging.INFO):
        data = open_dataset(write(columns={"id": "key"}, on_bad_sample="drop"))
    assert data.samples.dropped[0]["id"] == "\x1b[2Jid"  # stored as it is
    assert r"\x1b[2Jid: caption is empty" in caplog.text
    assert r"\x1b[2Junlisted.png" in caplog.text
    rows[2]["key"] = rows[1]["key"]
    with pytest.raises(DataError) as repeated:
        open_dataset(write(columns={"id": "key"}))
    assert "\x1b" not in caplog.text + str(repeated.value)


# names of files


def test_reasons_are_the_same_on_every_run(pictures):
    root, _, write = pictures
    (root / "3.png").write_bytes(b"<html>not found</html>")
    first, second = (open_dataset(write(on_bad_sample="drop")).samples.dropped for _ in range(2))
    assert first == second
    assert first == [
        {"id": "3.png", "reason": "picture is unreadable (UnidentifiedImageError: cannot identify image file)"}
    ]


def test_name_that_is_not_utf8_does_no_harm_where_the_metadata_does_not_name_it(pictures):
    root, _, write = pictures
    before = open_dataset(write()).spec.revision
    odd = os.fsencode(root) + b"/caf\xe9.png"
    with open(odd, "wb") as file:
        file.write((root / "0.png").read_bytes())
    data = open_dataset(write())
    assert data.samples.ids == [f"{i}.png" for i in range(8)]
    assert data.spec.revision != before
    os.rename(odd, os.fsencode(root) + b"/caf\xe8.png")
    assert open_dataset(write()).spec.revision != data.spec.revision


def test_name_that_is_not_utf8_has_no_text_for_an_id(pictures):
    root, rows, write = pictures
    os.rename(root / "0.png", os.fsencode(root) + b"/caf\xe9.png")
    rows[0] |= {"file_name": "caf\udce9.png", "key": "coffee"}
    with pytest.raises(DataError, match=r"row 1: id 'caf\\udce9.png' is not valid Unicode"):
        open_dataset(write())
    for row in rows[1:]:
        row["key"] = row["file_name"]
    assert open_dataset(write(columns={"id": "key"})).samples.ids[0] == "coffee"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b.png", "id 'a\\x00b.png' is not valid Unicode, or has a zero byte"),
        ("x" * 300 + ".png", "file cannot be read: File name too long"),
        ("loop.png", "file cannot be read: Too many levels of symbolic links"),
        ("pipe.png", "file cannot be read: it is a folder, a pipe or a device"),
        (".", "file cannot be read: it is a folder, a pipe or a device"),
        ("", "picture is missing"),
    ],
)
def test_names_that_no_file_can_have_are_faults_of_their_sample(pictures, name, reason):
    root, rows, write = pictures
    (root / "loop.png").symlink_to("loop.png")
    os.mkfifo(root / "pipe.png")
    rows[0]["file_name"] = name
    samples = open_dataset(write(on_bad_sample="drop")).samples
    assert samples.ids == [f"{i}.png" for i in range(1, 8)]
    assert [one["reason"] for one in samples.dropped] == [reason]


def test_paths_written_on_windows_are_read_and_their_ids_are_those_of_other_systems(pictures):
    root, rows, write = pictures
    (root / "sub").mkdir()
    (root / "0.png").rename(root / "sub" / "0.png")
    rows[0]["file_name"] = "sub\\0.png"
    assert open_dataset(write()).samples.ids[0] == "sub/0.png"
    Image.new("RGB", (3, 3), "red").save(root / "sub\\0.png")  # a name that this system allows goes first
    assert open_dataset(write()).samples.ids[0] == "sub\\0.png"
    for outside in ("..\\secret.png", "C:\\pics\\0.png", "C:/pics/0.png", "\\\\server\\share\\0.png"):
        rows[0]["file_name"] = outside
        with pytest.raises(DataError, match="row 1 of the metadata names .* which lies outside the folder"):
            open_dataset(write())
    Image.new("RGB", (3, 3), "blue").save(root / "C:.png")
    rows[0]["file_name"] = "C:.png"
    assert open_dataset(write()).samples.ids[0] == "C:.png"


# limits and what does not belong to the data


def test_limit_on_pixels_is_an_option_and_part_of_the_key(pictures):
    root, _, write = pictures
    Image.new("RGB", (50, 50), "red").save(root / "3.png")
    plain = open_dataset(write()).spec
    with pytest.raises(DataError, match=r"3.png: picture is too large \(50 x 50 pixels, and 100 in all are allowed\)"):
        open_dataset(write(options={"max_pixels": 100}))
    assert open_dataset(write(options={"max_pixels": 2500})).spec.key() != plain.key()


def test_outputs_inside_the_folder_do_not_change_its_revision(pictures):
    root, _, write = pictures
    before = open_dataset(write()).spec
    run = root / "outputs" / "runs" / "run" / "2026-01-01"
    (run / ".hydra").mkdir(parents=True)
    (run / "run.log").write_text("started")
    assert open_dataset(write()).spec == before
    data = open_dataset(write())
    FeatureStore(root / "elsewhere" / "features").write_samples(data.spec, data.samples)
    assert open_dataset(write()).spec == before
    (root / "notes").mkdir()
    (root / "notes" / "run.log").write_text("started")
    assert open_dataset(write()).spec.revision != before.revision


def test_pictures_among_the_outputs_are_part_of_the_revision_where_the_metadata_names_them(pictures):
    root, rows, write = pictures
    (root / "outputs" / "runs" / "a" / "b" / ".hydra").mkdir(parents=True)
    Image.new("RGB", (3, 3), "red").save(root / "outputs" / "x.png")
    rows[0]["file_name"] = "outputs/x.png"
    before = open_dataset(write()).spec.revision
    Image.new("RGB", (3, 3), "blue").save(root / "outputs" / "x.png")
    assert open_dataset(write()).spec.revision != before


def test_options_of_captions_that_are_no_mapping_are_refused(pictures):
    _, _, write = pictures
    with pytest.raises(
        ValueError, match=r"dataset.options.captions is 5; expected words with values, such as \{words: 5\}"
    ):
        open_dataset(write(options={"captions": 5}))


def test_metadata_of_json_lines_may_miss_cells(pictures):
    root, rows, _ = pictures
    lines = [json.dumps(row if i else {"file_name": row["file_name"]}) for i, row in enumerate(rows)]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"0.png: caption is missing"):
        open_dataset(spec(root))
