"""Summaries by a small model: resumable, the same however they are batched in time, and a dataset that opens."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
import torch

from platorep import cli
from platorep.core.errors import SpecError, StoreError
from platorep.core.files import read_json
from platorep.core.specs import DatasetSpec
from platorep.data import open_dataset
from platorep.data.summaries import INSTRUCTION, SLACK, TOKENS_A_WORD, Decoding, first_line, summarise
from platorep.models import resolve
from platorep.models.sources import load
from tests.small_models import bert, llama


CPU = torch.device("cpu")
WORDS = [2, 3]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return resolve(llama(tmp_path_factory.mktemp("models") / "small", context=1024), CPU)


@pytest.fixture(scope="module")
def pairs():
    return open_dataset(DatasetSpec(name="shapes", source="synthetic", n=6))


@pytest.fixture(scope="module")
def made(model, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("captions")
    return summarise(model, pairs, WORDS, folder, decoding=Decoding(batch=4), device=CPU)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_summary_is_the_models_greedy_answer_to_instruction_and_caption(made, model, pairs):
    encoder = load(model, CPU)
    for index, own in enumerate(pairs.samples.captions):
        ids = encoder.tokenizer(f"{INSTRUCTION.format(words=3)}\n\n{own[0]}\n\n")["input_ids"]
        start = len(ids)
        for _ in range(TOKENS_A_WORD * 3 + SLACK):  # token by token, alone, without a cache or padding
            with torch.inference_mode():
                ids.append(int(encoder.model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == encoder.tokenizer.eos_token_id:
                break
        answer = first_line(encoder.tokenizer.decode(ids[start:], skip_special_tokens=True))
        assert pd.read_parquet(made / "metadata.parquet").words_3[index] == answer


def test_the_instruction_names_the_number_of_words_twice():
    assert INSTRUCTION.format(words=5).count("5") == 2


def test_the_folder_is_a_dataset_with_the_same_pictures_and_ids(made, pairs):
    again = open_dataset(DatasetSpec(name="mine", source="folder", id=str(made), columns={"id": "id"}))
    assert again.samples.ids == pairs.samples.ids
    assert again.samples.captions == pairs.samples.captions
    assert again.samples.categories == pairs.samples.categories
    assert all(again.picture(i).tobytes() == pairs.picture(i).tobytes() for i in range(6))
    assert {f"words_{count}" for count in WORDS} < set(pd.read_parquet(made / "metadata.parquet").columns)


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(made, model, pairs, tmp_path):
    def stop(done, total, what):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarise(model, pairs, WORDS, tmp_path, decoding=Decoding(batch=4), device=CPU, progress=stop)
    assert not (tmp_path / "metadata.parquet").exists()
    steps = []
    summarise(
        model, pairs, WORDS, tmp_path, decoding=Decoding(batch=4), device=CPU, progress=lambda *a: steps.append(a)
    )
    assert [step[:2] for step in steps] == [(1, 2), (2, 2)]  # of 4 batches
    assert contents(tmp_path) == contents(made)


def test_a_finished_folder_is_left_alone_and_more_lengths_can_be_added(model, pairs, tmp_path):
    steps = []
    summarise(model, pairs, [2], tmp_path, decoding=Decoding(batch=6), device=CPU)
    summarise(
        model, pairs, [2, 4], tmp_path, decoding=Decoding(batch=6), device=CPU, progress=lambda *a: steps.append(a)
    )
    assert steps == [(1, 1, "4 words")]


def test_the_recipe_is_recorded_and_another_one_is_refused(made, model, pairs):
    recipe = read_json(made / "recipe.json")
    assert recipe["decoding"] == {"batch": 4, "temperature": 0.0, "seed": 0}
    assert recipe["model"]["revision"] == model.revision
    with pytest.raises(StoreError, match="holds summaries made with another decoding"):
        summarise(model, pairs, WORDS, made, decoding=Decoding(batch=3), device=CPU)


@pytest.mark.parametrize("damage", ["{", "[1]", '{"summaries": 3}', '["only one"]', "other text", ""])
def test_a_damaged_file_of_summaries_is_made_again(made, model, pairs, tmp_path, damage):
    shutil.copytree(made, tmp_path / "copy")
    part = next((tmp_path / "copy" / "parts").iterdir())
    if damage == "other text":  # a list of another letter would be another caption, without a word
        texts = json.loads(part.read_text())
        part.write_text(json.dumps({**texts, "summaries": [text + "x" for text in texts["summaries"]]}))
    else:
        part.write_text(damage)
    summarise(model, pairs, WORDS, tmp_path / "copy", decoding=Decoding(batch=4), device=CPU)
    assert contents(tmp_path / "copy") == contents(made)


def test_summaries_of_an_earlier_version_are_kept(made, model, pairs, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    for part in (tmp_path / "copy" / "parts").iterdir():
        part.write_text(json.dumps(json.loads(part.read_text())["summaries"]))
    steps = []
    summarise(
        model,
        pairs,
        WORDS,
        tmp_path / "copy",
        decoding=Decoding(batch=4),
        device=CPU,
        progress=lambda *a: steps.append(a),
    )
    assert steps == []
    assert (tmp_path / "copy" / "metadata.parquet").read_bytes() == (made / "metadata.parquet").read_bytes()


@pytest.mark.parametrize("text", ["[]", "{", "3", '{"model": 1, "checksum": "0"}'])
def test_a_damaged_recipe_is_named(model, pairs, tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(
        StoreError, match=rf"recipe.json is damaged .*Remove {tmp_path}, and run the same command again"
    ):
        summarise(model, pairs, WORDS, tmp_path, decoding=Decoding(batch=4), device=CPU)


def test_drawn_summaries_follow_their_seed_and_leave_the_global_generator_alone(model, pairs, tmp_path):
    def drawn(name, seed):
        folder = summarise(
            model, pairs, [2], tmp_path / name, decoding=Decoding(batch=6, temperature=1.0, seed=seed), device=CPU
        )
        return pd.read_parquet(folder / "metadata.parquet").words_2.tolist()

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one = drawn("a", 0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert one == drawn("b", 0)
    assert one != drawn("c", 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n  A cat. \nIt sits.", "A cat."),
        ('"A cat."', "A cat."),
        ("“A cat.”", "A cat."),
        ('"A" and "B"', '"A" and "B"'),
        ("", ""),
        ("'", "'"),
    ],
)
def test_first_line(text, line):
    assert first_line(text) == line


def test_refusals(model, pairs, tmp_path):
    with pytest.raises(SpecError, match="captions.words is \\[0\\]"):
        summarise(model, pairs, [0], tmp_path, decoding=Decoding(), device=CPU)
    with pytest.raises(SpecError, match="batch is 0"):
        Decoding(batch=0)
    encoder = resolve(bert(tmp_path / "bert"), CPU)
    with pytest.raises(SpecError, match="bert does not generate text"):
        summarise(encoder, pairs, [2], tmp_path / "out", decoding=Decoding(), device=CPU)


def test_the_command_writes_the_dataset(model, tmp_path):
    asset = f"{{source: path, id: '{model.asset.id}'}}"
    command = [
        "captions",
        "dataset=synthetic",
        "dataset.n=4",
        f"root={tmp_path}",
        "captions.words=[2]",
        "compute.device=cpu",
    ]
    command += ["captions.model.name=small", "captions.model.id=small", f"+captions.model.asset={asset}"]
    cli.app(command, standalone_mode=False)
    frame = pd.read_parquet(tmp_path / "captions" / "synthetic--small" / "metadata.parquet")
    assert len(frame) == 4
    assert set(frame.columns) == {"file_name", "id", "category", "text", "words_2"}
