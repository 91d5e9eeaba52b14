from __future__ import annotations

import json
import logging
import multiprocessing

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from platorep.core.errors import DataError, SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset


def synthetic(**more) -> DatasetSpec:
    return DatasetSpec(name="shapes", source="synthetic", **more)


@pytest.fixture
def pictures(tmp_path):
    """A folder of eight good pictures with captions, as (root, rows, write)."""
    root = tmp_path / "pictures"
    root.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(root / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": f"caption {i}"})

    def write(**more) -> DatasetSpec:
        (root / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        return DatasetSpec(name="mine", source="folder", id=str(root), **more)

    return root, rows, write


# order and selection


def test_synthetic_pairs_are_the_same_on_every_opening_and_no_two_are_alike():
    a, b = open_dataset(synthetic(n=480)), open_dataset(synthetic(n=480))
    assert a.samples == b.samples
    assert all(a.picture(i).tobytes() == b.picture(i).tobytes() for i in range(0, 480, 37))
    assert len({tuple(c) for c in a.samples.captions}) == 480
    assert a.samples.categories[:3] == ["circle", "square", "triangle"]
    assert len(a) == 480


def test_synthetic_caption_names_the_colour_of_the_picture():
    data = open_dataset(synthetic(n=60))
    for i in range(60):
        pixels = np.asarray(data.picture(i)).astype(int)
        colourful = (pixels.max(-1) - pixels.min(-1) > 60).mean() > 0.005
        assert colourful == (not any(word in data.samples.captions[i][0] for word in ("black", "grey")))


def test_smaller_n_is_a_prefix_of_a_larger_one_under_a_seed():
    small, large = open_dataset(synthetic(n=20, order_seed=7)), open_dataset(synthetic(n=50, order_seed=7))
    assert large.samples.ids[:20] == small.samples.ids
    assert small.picture(3).tobytes() == large.picture(3).tobytes()


def test_seeds_give_other_orders_of_the_same_pairs():
    orders = [open_dataset(synthetic(order_seed=seed)).samples.ids for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert open_dataset(synthetic(n=6, order_seed=0)).samples.ids == [
        "0175",
        "0423",
        "0378",
        "0439",
        "0286",
        "0127",
    ]  # on every machine


def test_revision_is_filled_and_a_wrong_one_is_refused():
    spec = open_dataset(synthetic(n=4)).spec
    assert spec.revision == "1"
    assert open_dataset(spec).spec == spec
    with pytest.raises(DataError, match="pinned to revision 0, but synthetic now has 1"):
        open_dataset(synthetic(n=4, revision="0"))


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [(481, DataError, "has 480 pairs; 481 are asked for"), (1, SpecError, "n is 1; alignment needs at least 2")],
)
def test_n_that_cannot_be_is_refused(n, error, message):
    with pytest.raises(error, match=message):
        open_dataset(synthetic(n=n))


def test_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match="unknown option of dataset source 'synthetic' 'sed'. Did you mean 'seed'"
    ):
        open_dataset(synthetic(options={"sed": 1}))


def _third(data):
    return data.picture(3).tobytes()


def test_dataset_goes_to_other_processes(pictures):
    _, _, write = pictures
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for data in (open_dataset(write()), open_dataset(synthetic(n=8))):
            assert pool.apply(_third, [data]) == _third(data)


# bad samples


def spoil(root, rows):
    rows[1]["text"] = "  "
    rows[2]["text"] = None
    (root / "3.png").write_bytes(b"no picture")
    (root / "4.png").unlink()
    Image.open(root / "0.png").save(root / "5.png", compress_level=0)  # other bytes, same pixels


REASONS = {
    "1.png": "caption is empty",
    "2.png": "caption is missing",
    "3.png": "picture is unreadable",
    "4.png": "file cannot be read: No such file",
    "5.png": "picture is the same as that of '0.png'",
}


def test_bad_samples_are_refused_with_ids_reasons_counts_and_what_to_do(pictures):
    root, rows, write = pictures
    spoil(root, rows)
    with pytest.raises(DataError) as caught:
        open_dataset(write())
    message = str(caught.value)
    assert "5 of 8 samples are bad" in message
    assert "dataset.on_bad_sample=drop" in message
    for one, reason in REASONS.items():
        assert f"{one}: {reason}" in message


def test_many_bad_samples_are_counted_and_the_first_are_named(pictures):
    _, rows, write = pictures
    for row in rows[:7]:
        row["text"] = ""
    with pytest.raises(
        DataError,
        match=r"7 of 8 samples are bad \(7 x caption is empty\): 0.png: .*4.png: caption is empty; and 2 more",
    ):
        open_dataset(write())


def test_dropped_samples_are_recorded_with_reasons_and_logged(pictures, caplog):
    root, rows, write = pictures
    spoil(root, rows)
    with caplog.at_level(logging.WARNING):
        data = open_dataset(write(on_bad_sample="drop"))
    assert data.samples.ids == ["0.png", "6.png", "7.png"]
    assert [one["id"] for one in data.samples.dropped] == list(REASONS)
    assert all(one["reason"].startswith(REASONS[one["id"]]) for one in data.samples.dropped)
    assert "5 of 8 samples are bad" in caplog.text


def test_dropped_samples_are_replaced_by_the_next_so_that_n_remains_n(pictures):
    root, rows, write = pictures
    spoil(root, rows)
    data = open_dataset(write(on_bad_sample="drop", n=3))
    assert data.samples.ids == ["0.png", "6.png", "7.png"]
    with pytest.raises(DataError, match="has 3 good pairs; 4 are asked for. 5 of 8 samples are bad"):
        open_dataset(write(on_bad_sample="drop", n=4))


def test_only_the_samples_asked_for_are_judged(pictures):
    root, _, write = pictures
    (root / "7.png").write_bytes(b"no picture")
    assert len(open_dataset(write(n=7))) == 7


def test_same_caption_for_different_pictures_is_no_fault(pictures):
    _, rows, write = pictures
    for row in rows:
        row["text"] = "a frog"
    assert len(open_dataset(write())) == 8


def test_one_bad_caption_among_several_is_named(pictures):
    _, rows, write = pictures
    rows[0]["text"] = ["one", "two"]
    assert open_dataset(write()).samples.captions[0] == ["one", "two"]
    rows[0]["text"] = ["one", ""]
    with pytest.raises(DataError, match="0.png: caption 2 of 2 is empty"):
        open_dataset(write())
    rows[0]["text"] = {"en": "one"}
    with pytest.raises(DataError, match="0.png: caption is not text but dict"):
        open_dataset(write())


def test_ids_that_occur_twice_are_refused(pictures):
    _, rows, write = pictures
    for row in rows:
        row["number"] = "same"
    with pytest.raises(
        DataError, match="1 ids occur more than once, first .'same'.. Choose an id column without repeats"
    ):
        open_dataset(write(columns={"id": "number"}))


def test_picture_that_goes_bad_later_is_named(pictures):
    root, _, write = pictures
    data = open_dataset(write())
    (root / "2.png").unlink()
    with pytest.raises(
        DataError, match="sample '2.png' of mine: file cannot be read.*It was readable when the dataset was checked"
    ):
        data.picture(2)


# what is known is not checked again


def test_stored_samples_spare_the_check_and_keep_what_was_dropped(pictures, tmp_path, monkeypatch):
    root, rows, write = pictures
    spoil(root, rows)
    spec = write(on_bad_sample="drop")
    store = FeatureStore(tmp_path / "features")
    first = open_dataset(spec, known=lambda one: None)
    store.write_samples(first.spec, first.samples)

    def no_check(*args):
        raise AssertionError("the pictures were checked again")

    monkeypatch.setattr("platorep.data.open._select", no_check)
    again = open_dataset(spec, known=lambda one: store.read_samples(store.dataset_dir(one)))
    assert again.samples == first.samples
    assert again.spec == first.spec
    assert again.picture(1).tobytes() == first.picture(1).tobytes()


def test_stored_samples_that_the_source_lost_are_named():
    first = open_dataset(synthetic(n=8))
    first.samples.ids[3] = "lost"
    with pytest.raises(DataError, match="no longer has 1 of its 8 stored samples, first .'lost'."):
        open_dataset(synthetic(n=8), known=lambda one: first.samples)


# the folder source


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
    assert "1 pictures have no row in the metadata and are no samples, first ['7.png']" in caplog.text


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
    with pytest.raises(DataError, match="metadata.jsonl cannot be read"):
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
            r"line 3 is no JSON \(Expecting value, column \d+\). Each line",
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
    with pytest.raises(DataError, match=rf"metadata.{name} has no rows; expected one a picture"):
        open_dataset(DatasetSpec(name="mine", source="folder", id=str(root)))


# several pictures of one thing


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
    with pytest.raises(DataError, match="row 0: picture is missing"):
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
