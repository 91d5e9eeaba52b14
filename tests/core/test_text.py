from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from platorep.core.errors import DataError
from platorep.core.text import cause, cell_text, is_unicode, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 日　本, 👩‍💻", "plain, ünïcode, 日　本, 👩‍💻"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\x9b31m", r"\x9b31m"),
        ("two\nlines\r\u2028", r"two\nlines\r\u2028"),
        ("txt\u202egnp.exe", r"txt\u202egnp.exe"),
        ("caf\udce9 \ud83d", r"caf\udce9 \ud83d"),
    ],
)
def test_what_a_terminal_would_obey_becomes_visible_and_all_else_stays(text, shown):
    assert visible(text) == shown
    assert visible(shown) == shown
    assert is_unicode(visible(text))


def test_causes_name_no_address_and_are_one_line():
    error = ValueError(f"cannot identify image file {object()!r}\nand a second line")
    assert cause(error) == "cannot identify image file"
    assert cause(ValueError("x" * 500), 20) == "x" * 20
    assert cause(ValueError()) == ""


@pytest.mark.parametrize(
    "value", [1, 1.0, "1", b"1", np.int8(1), np.uint64(1), np.float16(1), np.float32(1), np.str_("1"), np.bytes_("1")]
)
def test_the_same_whole_number_is_the_same_id_whatever_its_type(value):
    text = cell_text(value, "id")
    assert (text, type(text)) == ("1", str)


@pytest.mark.parametrize("value", [None, float("nan"), np.float32("nan"), Decimal("NaN"), "", "  ", b""])
def test_missing_cells_are_missing_and_no_word(value):
    assert cell_text(value, "id") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nan", "nan"),
        ("None", "None"),
        ("001", "001"),
        (" a ", " a "),
        (1.5, "1.5"),
        (np.float32(0.1), "0.1"),
        (10**30, str(10**30)),
        (2.0**53, "9007199254740992"),
        (True, "True"),
        (Decimal("1.50"), "1.50"),
        (Fraction(4, 2), "2"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        ("é".encode(), "é"),
    ],
)
def test_other_cells_are_the_text_that_they_show(value, text):
    assert cell_text(value, "id") == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], r"id is \[1\] \(list\); expected text or a number"),
        ({}, r"id is \{\} \(dict\)"),
        (np.array(["a"]), "ndarray"),
        ("\ud83d", r"id '\\ud83d' is not valid Unicode"),
        ("a\0", r"id 'a\\x00' is not valid Unicode, or has a zero byte"),
        (b"\xff", "is not UTF-8"),
        (1e17, "has lost digits; write it as text"),
        (np.float32(2**25), "has lost digits"),
    ],
)
def test_cells_that_are_no_ids_say_why(value, message):
    with pytest.raises(DataError, match=message):
        cell_text(value, "id")
