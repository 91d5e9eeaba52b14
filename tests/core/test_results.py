"""Tables on disk: the same bytes twice, and damage that is found and named."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from platorep.core.errors import StoreError
from platorep.core.files import write_parquet
from platorep.results.tables import ALIGNMENT_COLUMNS, COMPETENCE_COLUMNS, AlignmentTable, CompetenceTable


def table(count: int = 200) -> CompetenceTable:
    rows = {
        name: [0.5 + i / count for i in range(count)] if kind == "float64" else [f"{name} {i}" for i in range(count)]
            for name, kind in COMPETENCE_COLUMNS.items()}  # fmt: skip
    return CompetenceTable.from_frame(pd.DataFrame(rows))


def test_a_table_comes_back_as_it_was_and_has_the_same_bytes_twice(tmp_path):
    table().write(tmp_path / "a.parquet")
    table().write(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(CompetenceTable.load([tmp_path / "a.parquet"]).frame, table().frame)


@pytest.mark.parametrize("left", [0, 3, 1000])
def test_a_table_that_was_cut_short_is_named(tmp_path, left):
    path = tmp_path / "cut.parquet"
    table().write(path)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(
        StoreError, match=r"cut\.parquet is damaged .*Remove it and run the command that wrote it again"
    ):
        CompetenceTable.load([path])


def test_no_flipped_bit_is_read_as_another_number(tmp_path):
    path = tmp_path / "flipped.parquet"
    table().write(path)
    whole = path.read_bytes()
    refused = 0
    for place in range(4, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            pd.testing.assert_frame_equal(
                CompetenceTable.load([path]).frame, table().frame
            )  # bits that mean nothing are there too
        except StoreError:
            refused += 1
    assert refused > 100


def test_a_missing_table_and_one_of_another_kind_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"gone\.parquet is missing\. Run the command that makes it first"):
        CompetenceTable.load([tmp_path / "gone.parquet"])
    write_parquet(tmp_path / "other.parquet", pa.table({"model": ["a"]}))
    with pytest.raises(StoreError, match=r"other\.parquet: not a CompetenceTable: missing columns \['family'"):
        CompetenceTable.load([tmp_path / "other.parquet"])
    frame = table(3).frame.astype({"value": str}).assign(value="much")
    write_parquet(tmp_path / "text.parquet", pa.Table.from_pandas(frame, preserve_index=False))
    with pytest.raises(StoreError, match=r"text\.parquet: could not convert string to float"):
        CompetenceTable.load([tmp_path / "text.parquet"])


# models by name and key -----------------------------------------------------------------------------------------------


def alignment(*models: tuple[str, str, float]) -> AlignmentTable:
    """One row of text against each (vision model, its key, score)."""
    rows = [
        {name: 0 if kind == "int64" else 0.5 if kind == "float64" else "" for name, kind in ALIGNMENT_COLUMNS.items()}
        | {"x_model": "text", "x_key": "k0", "y_model": name, "y_key": key, "score": score}
        for name, key, score in models
    ]
    return AlignmentTable.from_frame(pd.DataFrame(rows))


def test_rows_of_another_model_of_the_same_name_are_told_apart_by_its_key():
    """A second run with another seed leaves two models of one name in the folder."""
    both = alignment(("vit", "k1", 0.25), ("vit", "k2", 0.75), ("net", "k3", 0.5))
    chosen = both.of_models({"text": "k0", "vit": "k2", "net": "k3"})
    assert chosen.matrix().loc["text"].to_dict() == {"vit": 0.75, "net": 0.5}
    assert both.of_models({"text": "k0", "vit": "k1"}).frame.score.tolist() == [0.25]
    assert both.of_models({"text": "k0", "vit": "other"}).frame.empty


def test_a_name_without_stored_features_stands_for_its_one_key_and_several_are_refused():
    both = alignment(("vit", "k1", 0.25), ("vit", "k2", 0.75), ("net", "k3", 0.5))
    assert both.of_models({"text": None, "net": None}).frame.score.tolist() == [0.5]
    with pytest.raises(
        StoreError, match=r"scores of 2 models named vit \(keys k1, k2\), and its features are not stored"
    ):
        both.of_models({"text": "k0", "vit": None})


def test_a_matrix_of_two_models_of_one_name_is_refused_with_the_columns_that_tell_them_apart():
    with pytest.raises(StoreError, match=r"several scores of text and vit, for other settings.*x_key, y_key"):
        alignment(("vit", "k1", 0.25), ("vit", "k2", 0.75)).matrix()


def test_one_path_is_one_file_and_a_folder_is_answered(tmp_path):
    table().write(tmp_path / "a.parquet")
    for path in (tmp_path / "a.parquet", str(tmp_path / "a.parquet"), [str(tmp_path / "a.parquet")]):
        pd.testing.assert_frame_equal(CompetenceTable.load(path).frame, table().frame)
    with pytest.raises(StoreError, match=r"gone.parquet is missing"):
        AlignmentTable.load(str(tmp_path / "gone.parquet"))
    with pytest.raises(StoreError, match=r"is a folder; expected a .parquet file. platorep.load reads"):
        AlignmentTable.load(str(tmp_path))
