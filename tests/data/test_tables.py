"""Tables read as they stand: what a careful writer wrote comes back, and what is ambiguous is refused by its line."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from platorep.core.errors import DataError
from platorep.data.tables import read_table


def read(tmp_path, content, name="table.csv"):
    """Columns of a table with that content, as lists."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_table(path)
    return {column: table.cells(column) for column in table.names}


PLAIN = {"file_name": ["a.png", "b.png"], "text": ["cap a", "cap b"]}


@pytest.mark.parametrize(
    "content",
    [
        "file_name,text\na.png,cap a\nb.png,cap b\n",
        "file_name,text\r\na.png,cap a\r\nb.png,cap b",
        "\ufefffile_name,text\na.png,cap a\nb.png,cap b\n",
        "file_name;text\na.png;cap a\nb.png;cap b\n",
        "file_name\ttext\na.png\tcap a\nb.png\tcap b\n",
        "file_name,text\na.png,cap a,\nb.png,cap b,\n",
        "file_name,text,\na.png,cap a,\nb.png,cap b,\n",
        "file_name,text,,\na.png,cap a,,\nb.png,cap b,,\n,,,\n",
        ",file_name,text\n0,a.png,cap a\n1,b.png,cap b\n",
        "\n\nfile_name,text\n\na.png,cap a\n  \nb.png,cap b\n\n",
        '"file_name","text"\n"a.png","cap a"\n"b.png","cap b"\n',
    ],
)
def test_the_ways_in_which_programs_write_one_table_are_one_table(content, tmp_path):
    assert read(tmp_path, content) == PLAIN


def test_cells_are_kept_to_the_letter(tmp_path):
    content = 'id;text\n007;"a ""cat"", asleep"\n1e5; two\nNA;"a\nb; c"\n;None\n'
    assert read(tmp_path, content) == {
        "id": ["007", "1e5", "NA", ""],
        "text": ['a "cat", asleep', " two", "a\nb; c", "None"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,text\na.png,a cat, asleep\n", "line 2: 3 cells, but the header has 2 columns. Put a cell"),
        ("file_name,text\na.png,a cat\nasleep\n", "line 3: 1 cells, but the header has 2 columns"),
        ("file_name,text,text\na.png,a,b\n", "two columns named 'text'. Rename or remove one"),
        ('file_name,text\na.png,"a cat\nb.png,a dog\n', "line 3: unexpected end of data"),
        ('file_name,text\na.png,"5" disk\n', "line 2: ',' expected after '\"'. A double quote inside"),
        ("file_name,text\na.png,café\n".encode("latin-1"), r"is not UTF-8 \(invalid .* byte 24, in line 2\). Save"),
        ("file_name,text\na.png,a\n".encode("utf-16"), "is not UTF-8 but UTF-16. Save it as UTF-8"),
    ],
)  # fmt: skip
def test_what_has_several_readings_is_refused_by_its_line(content, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 999), CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t"]),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
    comma=st.booleans(),
)
def test_what_a_csv_writer_writes_is_read_back(rows, delimiter, ending, quoting, mark, comma, tmp_path_factory):
    # before Python 3.13 the writer quotes only its own line ending: a lone \r then ends a row
    assume(quoting == csv.QUOTE_ALL or ending == "\r\n" or not any("\r" in cell for row in rows for cell in row[1:]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerow(["number", "first", "second"])
    for row in rows:
        writer.writerow([*row, ""] if comma else row)
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(out.getvalue().encode("utf-8-sig" if mark else "utf-8"))
    table = read_table(path)
    columns = [table.cells(name) for name in ("number", "first", "second")]
    assert list(zip(*columns, strict=True)) == [(str(number), first, second) for number, first, second in rows]
    # a slow reference: what the table was read by before, where that was told what there is
    frame = pd.read_csv(path, sep=delimiter, dtype=str, keep_default_na=False, index_col=False, usecols=range(3))
    if all(
        "\r" not in cell and '"' not in cell for row in rows for cell in row[1:]
    ):  # which pandas reads in its own way
        assert frame["second"].tolist() == columns[2]


def test_json_lines_keep_types_and_missing_cells_are_none(tmp_path):
    lines = [
        "\ufeff" + json.dumps({"id": 1, "text": "a"}),
        "",
        json.dumps({"text": ["b", "c"]}),
        '{"id": 3.0, "text": null}',
    ]
    assert read(tmp_path, "\r\n".join(lines), "t.jsonl") == {"id": [1, None, 3.0], "text": ["a", ["b", "c"], None]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a", "text": "b"}', "line 1 cannot be read: the name 'text' occurs twice"),
        ('{"n": ' + "[" * 100_000 + "}", "line 1 (is not JSON|cannot be read)"),
        ('{"n": ' + "9" * 5000 + "}", "line 1 cannot be read: Exceeds the limit"),
        ('[{"text": "a"}]', "line 1 is .* Each line must be an object"),
    ],
)
def test_odd_lines_are_refused(line, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(tmp_path, line, "t.jsonl")


def test_parquet_gives_what_its_types_say(tmp_path):
    table = pa.table(
        {
            "whole": pa.array([1, None, 3]),
            "short": pa.array([0.1, None, 2], pa.float32()),
            "word": pa.array(["a", None, "a"]).dictionary_encode(),
            "texts": pa.array([["a", "b"], None, []]),
            "nested": pa.array([{"en": "a"}, None, {"en": "c"}]),
            "nothing": pa.nulls(3),
            "large": pa.array(["x", "y", "z"], pa.large_string()),
        }
    )
    (tmp_path / "split=train").mkdir()
    path = tmp_path / "split=train" / "t.parquet"
    parquet.write_table(table, path)
    read_back = read_table(path)
    assert read_back.names == table.column_names  # nothing of the folder's name
    assert {name: read_back.cells(name) for name in read_back.names} == {
        "whole": [1, None, 3], "short": [np.float32(0.1), None, np.float32(2)], "word": ["a", None, "a"],
        "texts": [["a", "b"], None, []], "nested": [{"en": "a"}, None, {"en": "c"}], "nothing": [None] * 3,
        "large": ["x", "y", "z"],
    }  # fmt: skip


def test_index_that_has_a_name_is_a_column(tmp_path):
    pd.DataFrame({"file_name": ["a", "b"], "text": ["x", "y"]}).set_index("file_name").to_parquet(
        tmp_path / "t.parquet"
    )
    assert read_table(tmp_path / "t.parquet").cells("file_name") == ["a", "b"]


def test_damaged_parquet_says_so(tmp_path):
    pd.DataFrame({"a": range(100)}).to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    for content in (b"junk" * 10, whole[:200], whole[:8] + bytes(100) + whole[108:]):
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"t.parquet is damaged or not a parquet file"):
            read_table(tmp_path / "t.parquet").cells("a")
