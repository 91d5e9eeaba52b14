"""Several pictures of one thing: lists of file names in a cell."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from PIL import Image

from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.data import open_dataset


def frames(rows):
    """The eight pictures as three samples of 3, 1 and 2; two are left over."""
    names = [row["file_name"] for row in rows]
    return [
        {"file_names": names[:3], "text": "a film", "key": "a"},
        {"file_names": names[3], "text": "a still", "key": "b"},
        {"file_names": names[4:6], "text": "two views", "key": "c"},
    ]


@pytest.mark.parametrize("names", ['["0.png", "1.png"]', "['0.png', '1.png']"])
def test_list_written_as_text_in_a_csv_is_refused_and_one_name_is_not(pictures, names):
    root, rows, _ = pictures
    spec = DatasetSpec(name="mine", source="folder", id=str(root))
    made = [{"file_names": row["file_name"], "text": row["text"]} for row in rows]
    pd.DataFrame(made).to_csv(root / "metadata.csv", index=False)
    assert len(open_dataset(spec)) == 8
    made[2]["file_names"] = names
    pd.DataFrame(made).to_csv(root / "metadata.csv", index=False)
    with pytest.raises(
        DataError, match=r"row 3 of the metadata has the text .* A list of names needs a \.jsonl or \.parquet"
    ):
        open_dataset(spec)


@pytest.mark.parametrize("wrong", [None, {"a": 1}, ["1.png"], 7])
def test_what_is_no_file_name_is_refused(pictures, wrong):
    root, rows, write = pictures
    spec = write()
    made = frames(rows)
    made[1]["file_names"] = ["3.png", wrong]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, made)))
    with pytest.raises(
        DataError, match=rf"row 2 of the metadata has .*{type(wrong).__name__}.*, which is not a file name"
    ):
        open_dataset(spec)


def test_both_columns_of_file_names_are_refused_unless_one_is_chosen(pictures):
    root, rows, write = pictures
    spec = write()
    (root / "metadata.jsonl").write_text("\n".join(json.dumps({**row, "file_name": "7.png"}) for row in frames(rows)))
    with pytest.raises(DataError, match="both file_name and file_names. Remove one column, or set columns.image"):
        open_dataset(spec)
    assert open_dataset(spec.replace(columns={"image": "file_names", "id": "key"})).samples.pictures == [3, 1, 2]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_cell_may_hold_a_list_of_pictures(pictures, form):
    root, rows, _ = pictures
    made = frames(rows)
    if form == "parquet":  # whose columns are of one type
        made[1]["file_names"] = [made[1]["file_names"]]
        pd.DataFrame(made).to_parquet(root / "metadata.parquet")
    else:
        (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, made)))
    data = open_dataset(DatasetSpec(name="mine", source="folder", id=str(root)))
    assert data.samples.ids == ["0.png", "3.png", "4.png"]
    assert data.samples.pictures == [3, 1, 2]
    shown = [[0, 1, 2], [3], [4, 5]]
    for i, files in enumerate(shown):
        assert [data.picture(i, j).tobytes() for j in range(len(files))] == [
            Image.open(root / f"{f}.png").tobytes() for f in files
        ]
        assert data.picture(i).tobytes() == data.picture(i, 0).tobytes()
    named = open_dataset(DatasetSpec(name="mine", source="folder", id=str(root), columns={"id": "key"}))
    assert named.samples.ids == ["a", "b", "c"]


def test_one_picture_each_is_not_counted(pictures):
    _, rows, write = pictures
    plain = open_dataset(write()).samples
    assert plain.pictures is None
    for row in rows:
        row["file_name"] = [row["file_name"]]
    assert open_dataset(write()).samples == plain


def test_one_bad_picture_among_several_is_named_and_samples_of_the_same_pictures_are_refused(pictures):
    root, rows, write = pictures
    rows[:] = frames(rows)
    (root / "1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"0.png: picture 2 of 3: picture is unreadable"):
        open_dataset(write())
    rows[0]["file_names"] = []
    with pytest.raises(DataError, match="row 1: picture is missing"):
        open_dataset(write())
    rows[0] = {"file_names": ["4.png", "3.png"], "text": "shares a frame with each", "key": "a"}
    assert open_dataset(write(columns={"id": "key"})).samples.pictures == [2, 1, 2]
    rows[0]["file_names"] = ["4.png", "5.png"]
    with pytest.raises(DataError, match="picture is the same as that of 'a'"):
        open_dataset(write(columns={"id": "key"}))


def test_list_of_pictures_may_not_leave_the_folder(pictures):
    _, rows, write = pictures
    rows[0]["file_name"] = ["0.png", "../elsewhere.png"]
    with pytest.raises(DataError, match=r"names '../elsewhere.png', which lies outside the folder"):
        open_dataset(write())
