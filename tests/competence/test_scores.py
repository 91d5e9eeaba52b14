"""Scores of others: formats, names, and who is believed."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
import yaml

from platorep.cli.schema import config_dir
from platorep.competence import merged, published, read_scores
from platorep.competence.harness import Figure
from platorep.competence.scores import _row, _table
from platorep.core.errors import DataError, SpecError
from platorep.core.specs import ModelSpec


GPT2 = ModelSpec(name="small", modality="language", source="transformers", id="openai-community/gpt2", family="gpt2")
NOISY = GPT2.replace(name="noisy", weight_noise=0.1)
RANDOM = GPT2.replace(name="random", weights="random")


def suite(name: str) -> list[ModelSpec]:
    entries = yaml.safe_load((config_dir() / "suite" / f"{name}.yaml").read_text())["models"]
    return [ModelSpec.from_dict({"name": name, **entry}) for name, entry in entries.items()]


def write(folder, value, name="results.json"):
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


NEW = {
    "results": {
        "hellaswag": {
            "alias": "hellaswag", "acc,none": 0.29, "acc_stderr,none": 0.004, "acc_norm,none": 0.31,
            "acc_norm_stderr,none": 0.005,
        },
        "gsm8k": {
            "alias": "gsm8k", "exact_match,flexible-extract": 0.03, "exact_match_stderr,flexible-extract": 0.002,
            "exact_match,strict-match": 0.01, "exact_match_stderr,strict-match": "N/A",
        },
    },
    "n-shot": {"hellaswag": 10, "gsm8k": 5},
    "versions": {"hellaswag": 1.0, "gsm8k": 3.0},
    "config": {"model": "hf", "model_args": "pretrained=openai-community/gpt2,dtype=float32"},
    "model_name": "openai-community/gpt2",
}  # fmt: skip
OLD = {
    "results": {"hellaswag": {"acc": 0.29, "acc_stderr": 0.004, "acc_norm": 0.31, "acc_norm_stderr": 0.005}},
    "versions": {"hellaswag": 0},
    "config": {"model": "hf-causal", "model_args": "pretrained=openai-community/gpt2", "num_fewshot": 10},
}
BOARD = {
    "config_general": {"model_name": "openai-community/gpt2"},
    "results": {
        "harness|hellaswag|10": {"acc": 0.29, "acc_stderr": 0.004, "acc_norm": 0.31, "acc_norm_stderr": 0.005},
        "all": {"acc": 0.3},
    },
    "versions": {"all": 0, "harness|hellaswag|10": 0},
}
LATEST = {**NEW, "config": {"model": "hf", "model_args": {"pretrained": "openai-community/gpt2"}}}


@pytest.mark.parametrize(
    ("read", "version"),
    [(NEW, "1.0"), (OLD, "0"), (BOARD, "0"), (LATEST, "1.0")],
    ids=["new", "old", "board", "latest"],
)
def test_every_format_of_the_harness_gives_the_same_scores(read, version, tmp_path):
    frame = read_scores(write(tmp_path, read), [GPT2]).frame.set_index("measure")
    assert (frame.value["hellaswag"], frame.standard_error["hellaswag"]) == (0.31, 0.005)
    assert (frame.value["hellaswag_acc"], frame.standard_error["hellaswag_acc"]) == (0.29, 0.004)
    assert frame.task["hellaswag"] == f"hellaswag, acc_norm, 10-shot, version {version}"
    assert set(frame.source) == {"imported"}
    assert set(frame.model) == {"small"}
    assert "all" not in set(frame.index)


def test_strict_matches_are_the_score_of_gsm8k_and_an_error_that_is_not_available_is_nan(tmp_path):
    frame = read_scores(write(tmp_path, NEW), [GPT2]).frame.set_index("measure")
    assert frame.value["gsm8k"] == 0.01
    assert math.isnan(frame.standard_error["gsm8k"])
    assert frame.value["gsm8k_exact_match_flexible_extract"] == 0.03


def test_degraded_variants_of_a_model_do_not_get_its_scores(tmp_path):
    assert set(read_scores(write(tmp_path, NEW), [NOISY, GPT2, RANDOM]).frame.model) == {"small"}
    llama = ModelSpec(name="x", modality="language", source="transformers", id="huggyllama/llama-7b")
    assert set(
        published(
            [llama, llama.replace(name="y", weight_noise=0.2), llama.replace(name="z", weights="random")]
        ).frame.model
    ) == {"x"}


def test_csv_goes_by_name_or_id_and_names_who_is_left_out(tmp_path, caplog):
    text = (
        "model,measure,value,standard_error\nsmall,arc,0.2,0.01\nopenai-community/gpt2,piqa,0.6,\nstranger,arc,0.9,\n"
    )
    frame = read_scores(write(tmp_path, text, "mine.csv"), [GPT2]).frame
    assert list(zip(frame.measure, frame.value, strict=True)) == [("arc", 0.2), ("piqa", 0.6)]
    assert frame.standard_error[0] == 0.01
    assert math.isnan(frame.standard_error[1])
    assert "stranger" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not a result file of lm-evaluation-harness"),
        ("a.json", '{"scores": 1}', "not a result file of lm-evaluation-harness"),
        ("a.json", '{"results": {"x": {"acc": 1}}}', "does not name its model"),
        (
            "a.json",
            json.dumps({**OLD, "config": {"model_args": "pretrained=other"}}),
            "scores of other, and no model of the suite has these weights, by name or id. The suite has small",
        ),
        ("a.csv", "model,value\na,1\n", "lacks the columns measure"),
        (
            "a.csv",
            "model,measure,value\nsmall,arc,high\n",
            "line 2: the value of arc of small is 'high'; expected a number",
        ),
        ("a.txt", "", "neither .json .* nor .csv"),
    ],
)
def test_files_that_cannot_be_read_say_why(name, text, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read_scores(write(tmp_path, text, name), [GPT2])
    with pytest.raises(DataError, match="does not exist"):
        read_scores(tmp_path / "none.csv", [GPT2])


def test_published_values_cover_the_paper_s_twenty_models_with_protocol_and_source():
    models = suite("prh_downstream")
    frame = published(models).frame
    language = [spec.name for spec in models if spec.modality == "language"]
    assert len(language) == 20
    sizes = frame[frame.measure == "parameters"]
    assert sorted(sizes.model) == sorted(language)
    for measure, missing in (("hellaswag", {"bloomz-1b7"}), ("gsm8k", {"bloomz-1b7"})):
        rows = frame[frame.measure == measure]
        assert set(language) - set(rows.model) == missing
        assert not rows.model.duplicated().any()
        assert rows.value.between(0, 1).all()
        assert rows.task.str.contains("-shot").all()
        assert rows.provenance.str.contains("ObsScaling").all()
        assert rows[rows.model.str.startswith("bloomz")].provenance.str.contains("not of the fine-tuned").all()
    assert set(frame.source) == {"published"}
    values = frame[frame.measure == "hellaswag"].set_index("model").value
    assert (values["llama-33b"], values["llama3-70b"], values["mistral-7b"]) == (0.847, 0.88, 0.833)
    assert sizes.set_index("model").value["llama-7b"] == 6738415616


def test_measured_supersedes_imported_supersedes_published():
    def rows(source, measure, value, task=""):
        return _table([_row(GPT2, Figure(measure, value, math.nan, task), source, "")])

    table = merged([
        rows("published", "hellaswag", 1), rows("published", "gsm8k", 2), rows("published", "parameters", 3),
        rows("imported", "hellaswag", 4), rows("measured", "parameters", 5), rows("imported", "parameters", 6),
        rows("measured", "probe_accuracy", 7, "a"), rows("measured", "probe_accuracy", 8, "b"),
    ])  # fmt: skip
    found = table.frame[["measure", "value"]].sort_values("value")
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True),
        pd.DataFrame(
            {
                "measure": ["gsm8k", "hellaswag", "parameters", "probe_accuracy", "probe_accuracy"],
                "value": [2.0, 4, 5, 7, 8],
            }
        ),
        check_dtype=False,
    )


def test_the_month_of_a_release_is_a_year_with_its_fraction():
    spec = ModelSpec(name="m", modality="language", source="transformers", id="own/m", released="2023-06")
    row = published([spec]).frame.iloc[0]
    assert (row.measure, row.source) == ("released", "published")
    assert row.value == pytest.approx(2023 + 5.5 / 12)
    assert spec.key() == spec.replace(released="").key()
    with pytest.raises(SpecError, match="released is 'June 2023'; expected YYYY-MM, such as 2023-06"):
        published([spec.replace(released="June 2023")])
