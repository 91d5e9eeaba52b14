"""A sample of architectures through the check that writes docs/models.md; all of them behind the marker `slow`."""

from __future__ import annotations

import math

import pytest
import torch

from tests.architectures import language
from tests.architectures.page import PAGE, cell, summary, table, write_section


SAMPLE = {
    "decoder/gpt2": "right",
    "decoder/gemma2": "right",
    "decoder/mixtral": "right",
    "decoder/mamba": "right",
    "decoder/xlm": "right",
    "encoder/roberta": "right",
    "encoder/convbert": "right",
    "encoder/albert": "right",
    "encoder-decoder/t5": "right",
    "with pictures/qwen2_5_vl": "right",
    "encoder/funnel": "refused: FunnelModel makes states of shape (1, 4, 32)",
}


@pytest.mark.parametrize("name", SAMPLE)
def test_architecture_is_right_or_refused(name):
    row = language.check(*name.split("/"))
    assert row.result.startswith(SAMPLE[name]), row


def test_what_is_wrong_is_found(monkeypatch):
    """The check itself: other states, states that depend on the batch, and bits that are off."""
    from platorep.models.language import LanguageEncoder

    encode = LanguageEncoder._encode

    def shifted(self, batch, *, bits):
        features, scalars = encode(self, batch, bits=bits)
        return type(encode(self, batch, bits=bits))([f + 0.01 * len(batch) for f in features], scalars)

    monkeypatch.setattr(LanguageEncoder, "_encode", shifted)
    assert language.check("decoder", "gpt2").result == "wrong: states, batching"
    monkeypatch.setattr(LanguageEncoder, "_encode", encode)
    monkeypatch.setattr(
        LanguageEncoder, "_logits", lambda self, states: self.part.logits(states, self.nature.output) * 1.01
    )
    assert language.check("decoder", "gpt2").result == "wrong: bits"


def test_difference_is_relative_to_the_length_and_infinite_for_other_shapes():
    assert language._difference(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0])) == pytest.approx(0.1)
    assert language._difference(torch.zeros(2), torch.zeros(3)) == math.inf


def test_page_has_a_row_for_every_architecture_and_none_that_is_wrong():
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("<!-- language: written")[2].partition("<!-- language: end -->")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert [f"{row[1]}/{row[0].removeprefix('| ')}" for row in rows] == language.names()
    results = [row[-1].removesuffix(" |") for row in rows]
    assert not [result for result in results if result.startswith("wrong")]
    assert sum(result.startswith("right") for result in results) >= 105


def test_sections_are_replaced_between_their_marks_alone(tmp_path):
    page = tmp_path / "page.md"
    begin, end = "<!-- timm: written by scripts/check_architectures.py -->", "<!-- timm: end -->"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    write_section("timm", "new", page)
    assert page.read_text() == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    with pytest.raises(ValueError, match="has no section between '<!-- vision"):
        write_section("vision", "new", page)


def test_tables_show_what_was_found():
    rows = [
        language.Row("a", "decoder", "right", 3, 1.2e-7, 0.0, True, "any texts"),
        language.Row("b", "encoder", "refused: x|y"),
    ]
    lines = table(language.COLUMNS, rows).splitlines()
    assert lines[2] == "| a | decoder | 3 | 1e-07 | 0 | yes | any texts |  | right |"
    assert lines[3].endswith("| refused: x\\|y |")
    assert summary(rows) == "1 right, 1 refused"
    assert (cell(False), cell(None)) == ("no", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", language.names())
def test_every_architecture_is_right_or_refused(name):
    row = language.check(*name.split("/"))
    assert not row.result.startswith("wrong"), row
