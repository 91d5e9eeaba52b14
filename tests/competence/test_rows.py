"""Parts of the competence table: kept, read again, and measured again where they are damaged."""

from __future__ import annotations

import pandas as pd
import pytest

from platorep.competence.rows import kept, row, table
from platorep.core.specs import ModelSpec


MODEL = ModelSpec(name="model", source="transformers", modality="language", id="model")


@pytest.fixture
def part(tmp_path):
    """Reads or makes a part, and how often it was made."""
    calls = []

    def make():
        calls.append(1)
        return table([row(MODEL, "bits_per_byte", 1.25)])

    return lambda **options: kept(tmp_path, "model--text", {"text": "digest"}, make, MODEL, **options), calls


def test_a_stored_part_is_read_unless_it_is_to_be_overwritten(part):
    read, calls = part
    for _ in range(2):
        assert read().frame.value.tolist() == [1.25]
    assert len(calls) == 1
    read(overwrite=True)
    assert len(calls) == 2


DAMAGE = {
    "emptied": lambda raw: b"",
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "zeros": lambda raw: bytes(len(raw)),
    "last byte lost": lambda raw: raw[:-1],
    "values flipped": lambda raw: raw[:30] + bytes(byte ^ 16 for byte in raw[30:200]) + raw[200:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_part_is_named_and_measured_again(part, tmp_path, caplog, damage):
    read, calls = part
    before = read().frame
    (path,) = tmp_path.glob("*.parquet")
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    pd.testing.assert_frame_equal(read().frame, before)
    assert path.name in caplog.text
    assert len(calls) == 2
    assert path.read_bytes() == whole
