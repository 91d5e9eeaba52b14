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


CERTAIN = ("architecture", "kind", "layers", "causal", "batches", "result")
"""Columns without rounding: the same wherever the check runs."""

DRAFTS = {"decoder/gemma4_assistant", "decoder/gemma4_unified_assistant"}
"""Models that draft for another one and read its states: transformers cannot build them from their own defaults."""


def stated() -> dict[str, dict[str, str]]:
    """The rows of the page by kind and architecture, each by column."""
    section = PAGE.read_text(encoding="utf-8").partition("<!-- language: written")[2]
    lines = [line for line in section.partition("<!-- language: end -->")[0].splitlines() if line.startswith("| ")]
    rows = [dict(zip(language.COLUMNS, line[2:-2].split(" | "), strict=True)) for line in lines[1:]]
    return {f"{row['kind']}/{row['architecture']}": row for row in rows}


def certain(row: language.Row) -> dict[str, str]:
    """What the page must state of a row."""
    return {column: cell(getattr(row, column)) for column in CERTAIN}


@pytest.mark.parametrize("name", SAMPLE)
def test_architecture_is_right_or_refused_and_the_page_says_so(name):
    row = language.check(*name.split("/"))
    assert row.result.startswith(SAMPLE[name]), row
    assert certain(row).items() <= stated()[name].items()


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
    rows = stated()
    assert list(rows) == language.names()
    right = [row for row in rows.values() if row["result"].startswith("right")]
    refused = [row for row in rows.values() if row["result"].startswith("refused: ")]
    assert {name for name, row in rows.items() if row["result"].startswith("not built small: ")} == DRAFTS
    assert len(right) + len(refused) + len(DRAFTS) == len(rows)
    assert len(right) >= 105
    assert all(int(row["layers"]) >= 2 for row in right)
    assert all(
        float(row[column] or 0) < language.SAME for row in right for column in ("agreement", "invariance", "bits")
    )


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
def test_every_architecture_is_what_the_page_says(name):
    row = language.check(*name.split("/"))
    assert not row.result.startswith("wrong"), row
    assert certain(row).items() <= stated()[name].items()
