"""A walk through the documentation: every command and every block of code, in order, in a folder per page.

`python -m pytest tests/docs -k walk` runs what is fast, `scripts/test_docs.sh` what takes minutes as well.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from platorep import cli
from platorep.cli import schema
from platorep.cli.commands import COMMANDS
from platorep.cli.words import hydra_words, own_objects
from platorep.commands.checkpoints import entries
from platorep.commands.configuration import experiment
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.data import open_dataset
from tests.docs.pages import ROOT, Block, blocks, indented_commands, inline_commands, pages
from tests.docs.walk import SETUP, TABLE_OF_BLOCKS, Composed, Entry, Passed, Python, Run
from tests.small_models import llama


LONG = [
    page for page, table in TABLE_OF_BLOCKS.items() if any(isinstance(e, Run) and e.minutes for e in table.values())
]


@pytest.mark.parametrize("page", pages())
def test_the_table_has_every_block_and_no_other(page):
    entries = list(dict.fromkeys(entry for block in blocks(page) for entry in block.entries))
    assert list(TABLE_OF_BLOCKS.get(page, {})) == entries
    assert not indented_commands(page), "a command belongs in a fence, where the walk sees it"


def test_a_block_that_the_table_lacks_is_found():
    assert Block("bash", "platorep run \\\n  suite=new  # a comment\n\nplatorep ls\n").entries == [
        "platorep run suite=new",
        "platorep ls",
    ]
    assert "platorep run suite=new" not in TABLE_OF_BLOCKS["README.md"]


@pytest.mark.parametrize("page", pages())
def test_every_command_is_a_valid_experiment_as_it_stands(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for command in [entry for block in blocks(page) if block.language == "bash" for entry in block.entries]:
        words = page_words(page, command)
        if words[0] == "platorep" and words[1] in COMMANDS and not {"-m", "..."} & set(words):
            assert composed(words[1], words[2:]).models or words[1] == "simulate", command
    for command in inline_commands(page):
        words = shlex.split(command)
        if words[1] in COMMANDS and "-m" not in words:
            composed(words[1], [*words[2:], "--config-dir", "my_configs"])


def test_a_command_with_a_wrong_word_is_no_valid_experiment():
    with pytest.raises(Exception, match="unknown suite 'ofline'"):
        composed("run", ["suite=ofline"])
    with pytest.raises(Exception, match="no_such_key"):
        composed("run", ["no_such_key=1"])


@pytest.mark.parametrize("page", [page for page in TABLE_OF_BLOCKS if page not in ("docs/architecture.md",)])
def test_walk(page, folder, monkeypatch):
    walk(page, folder, monkeypatch, minutes=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", LONG)
def test_walk_of_what_takes_minutes(page, folder, monkeypatch):
    walk(page, folder, monkeypatch, minutes=True)


def walk(page: str, folder: Path, monkeypatch, *, minutes: bool) -> None:
    """Runs the entries of a page that take minutes, or all others, in order."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "own", raising=False)
    for command in () if minutes else SETUP.get(page, ()):
        in_this_process(shlex.split(command))
    names: dict[str, object] = {"__name__": "walk"}
    for block in blocks(page):
        for key in block.entries:
            entry: Entry = TABLE_OF_BLOCKS[page][key]
            if isinstance(entry, Run) and entry.minutes == minutes:
                run_command(page_words(page, key), entry)
            elif not minutes:
                run_block(block, entry, names)


def run_command(words: list[str], entry: Run) -> None:
    words = replaced([entry.values.get(word, word) for word in words], entry.overrides)
    if words[0] == "bash":
        subprocess.run([words[0], str(ROOT / words[1]), *words[2:]], check=True)
    else:
        in_this_process(words[1:])


def run_block(block: Block, entry: Entry, names: dict[str, object]) -> None:
    text = block.text
    if isinstance(entry, Passed | Composed | Run):
        if block.language == "python":
            ast.parse(text)
        return
    for old, new in entry.replacing.items():
        text = text.replace(old, new)
    if isinstance(entry, Python):
        if entry.module:
            with open(entry.module, "a", encoding="utf-8") as module:
                module.write(f"{text}\n")
            sys.modules.pop("own", None)  # an earlier block's part of it may be imported already
            return  # the page's next block imports it
        exec(compile(f"{entry.before}\n{text}", "<page>", "exec"), names)
    elif block.language == "json":
        Path(entry.file).write_text(text + '{"file_name": "drum.png", "text": "a drum"}\n', encoding="utf-8")
        captions = open_dataset(DatasetSpec(name="violin", source="folder", id="violin")).samples.captions
        assert captions == [json.loads(text)["text"], ["a drum"]]
    elif entry.file:
        Path(entry.file).parent.mkdir(parents=True, exist_ok=True)
        Path(entry.file).write_text(text, encoding="utf-8")
    else:
        for name, fields in entries(yaml.safe_load(text)["models"]).items():
            ModelSpec.from_dict({"name": name, **fields})


def page_words(page: str, command: str) -> list[str]:
    """The words of a command as the shell passes them on."""
    for block in blocks(page):
        whole = block.text.replace("\\\n", " ")
        for line in whole.splitlines() if block.language == "bash" else ():
            words = shlex.split(line, comments=True)
            if " ".join(words) == command:
                return words
    raise LookupError(command)


def replaced(words: list[str], overrides: tuple[str, ...]) -> list[str]:
    """Words with those of the same key replaced; "-KEY" takes one away, and words without a key are added."""
    for override in overrides:
        if re.fullmatch(r"-[\w.]+", override):
            words = [word for word in words if not word.startswith(f"{override[1:]}=")]
            continue
        key = override.partition("=")[0]
        words = [word for word in words if word.partition("=")[0] not in (key, key.lstrip("+"))] + [override]
    return words


def in_this_process(words: list[str]) -> None:
    try:
        cli.app(words, standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"platorep {' '.join(words)}: {end.code}") from end


def composed(command: str, argv: list[str]):
    """The experiment that a command line describes."""
    words = hydra_words(command, argv)
    schema.register(own_objects(words))
    folders = [words[place + 1] for place, word in enumerate(words) if word == "--config-dir"]
    overrides = [word for word in words if not word.startswith("-") and word not in folders]
    if folders:
        overrides.append(f"hydra.searchpath=[{','.join(f'file://{Path(f).resolve()}' for f in folders)}]")
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return experiment(OmegaConf.to_container(compose(command, overrides=overrides), resolve=True))


@pytest.fixture
def folder(material, tmp_path):
    """A copy of the material, for one page to work in."""
    shutil.copytree(material, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("mine.safetensors"))
    os.link(material / "mine.safetensors", tmp_path / "mine.safetensors")  # 100 MB that nothing writes to
    return tmp_path


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """What the pages take from the reader: a checkpoint, weights, pictures, texts, a suite, features, scores."""
    import timm
    from safetensors.torch import save_file

    at = tmp_path_factory.mktemp("material")
    llama(at / "checkpoint")
    torch.manual_seed(0)
    save_file(timm.create_model("resnet50").state_dict(), at / "mine.safetensors")
    (at / "my_configs/suite").mkdir(parents=True)
    (at / "my_configs/metric").mkdir()
    for page, first, file in (
        ("docs/inputs.md", "# @package _global_", "my_configs/suite/mine.yaml"),
        ("docs/own_metrics.md", "# my_configs/metric/near.yaml", "my_configs/metric/near.yaml"),
    ):
        (text,) = (block.text for block in blocks(page) if block.entries[0] == first)
        (at / file).write_text(text.replace("/path/to/mine.safetensors", "mine.safetensors"))
    colours = np.random.default_rng(0).integers(0, 255, (40, 3))
    for name, rows in (("pictures", range(40)), ("violin", ["violin", "drum"])):
        (at / name).mkdir()
        lines = ["file_name,text"]
        for row, colour in zip(rows, colours, strict=False):
            Image.new("RGB", (32, 32), tuple(int(value) for value in colour)).save(at / name / f"{row}.png")
            lines.append(f"{row}.png,a square of the colour {colour[0]} {colour[1]} {colour[2]}")
        if name == "pictures":
            (at / name / "metadata.csv").write_text("\n".join(lines) + "\n")
    (at / "texts").mkdir()
    (at / "texts/first.txt").write_text("One text of a folder, of a few words.")
    (at / "mine.csv").write_text("model,measure,value\ntfidf,hellaswag,0.3\n")
    ids = [f"s{number}" for number in range(12)]
    points = np.random.default_rng(1).normal(size=(12, 4))
    np.savez(at / "rdm.npz", v4=((points[:, None] - points[None]) ** 2).sum(-1), ids=np.array(ids))
    return at
