"""Tables on disk: the same bytes twice, and damage that is found and named."""

from __future__ import annotations

import pandas as pd
import pytest

from platorep.core.errors import StoreError
from platorep.results.tables import COMPETENCE_COLUMNS, CompetenceTable


def table(count: int = 200) -> CompetenceTable:
    rows = {name: [0.5 + i / count for i in range(count)] if kind == "float64" else [f"{name} {i}" for i in range(count)]
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
    with pytest.raises(StoreError, match=r"cut\.parquet is damaged .*Remove it and run the command that made it again"):
        CompetenceTable.load([path])


def test_no_flipped_bit_of_a_page_is_read_as_another_number(tmp_path):
    path = tmp_path / "flipped.parquet"
    table().write(path)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")  # the metadata behind the pages has no checksum
    refused = 0
    for place in range(4, len(whole) - 8 - footer, 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            pd.testing.assert_frame_equal(
                CompetenceTable.load([path]).frame, table().frame
            )  # bits that mean nothing are there too
        except StoreError:
            refused += 1
    assert refused > 100
