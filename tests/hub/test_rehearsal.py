"""The paper's experiment whole, by real processes: the language models of Figures 3 and 4 by exact id, then no Hub.

Minutes; `scripts/rehearse_hub.sh` runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from platorep.cli.schema import config_dir
from tests.hub import builder_data, paper
from tests.hub.conftest import hub_environment
from tests.hub.server import Hub


pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
HERE = ("compute.device=cpu", "compute.workers=0")
EYES = ("in21k-tiny", "in21k-small", "dinov2-small")


def suite(name: str) -> dict[str, dict[str, str]]:
    return yaml.safe_load((config_dir() / "suite" / f"{name}.yaml").read_text())["models"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A Hub with the paper's repositories, and a function that runs one command against it in a process of its own."""
    folder = tmp_path_factory.mktemp("rehearsal")
    with Hub() as hub:
        paper.add_paper(hub, 16, vision=(*paper.SMALL_VISION, *paper.MORE_VISION))

        def run(*words: str, root: str = "out", **environment: str) -> subprocess.CompletedProcess[str]:
            settings = {**os.environ, **hub_environment(hub, folder / "huggingface"), "PYTHONPATH": str(ROOT)}
            settings |= {"HF_TOKEN": paper.TOKEN, **environment}
            command = [sys.executable, "-m", "platorep", *words, *HERE, f"root={folder / root}"]
            return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)

        yield hub, run, folder


def words_of(figure: str) -> tuple[str, ...]:
    """What chooses the experiment of a figure: of its vision models those that run here in minutes."""
    if figure == "fig3":
        names = [name for name, entry in suite("prh").items() if entry["modality"] == "language"]
        return "suite=prh", "dataset=wit_1024", f"only='{','.join((*names, *EYES))}'"
    # DINOv2-giant does not fit here: a small model takes its place under its name, which the published values go by
    return "suite=prh_downstream", "dataset=wit_1024", f"models.dinov2-giant.id={paper.SMALL_VISION[0]}"


def test_the_ids_are_those_of_the_suites():
    entries = {**suite("prh"), **suite("prh_downstream")}
    assert {entry["id"] for entry in entries.values() if entry["modality"] == "language"} == set(paper.LANGUAGE)
    assert {entry["id"] for name, entry in entries.items() if name in EYES} == {*paper.SMALL_VISION, *paper.MORE_VISION}


def test_the_experiment_from_doctor_to_figures(stage):
    hub, run, folder = stage
    for figure, count in (("fig3", 12), ("fig4", 20)):
        done = run("doctor", *words_of(figure), "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        places = {row["found"] for part in ("models", "data") for row in told[part]}
        # of fig4 some are in the cache or extracted, for fig3
        assert places <= ({"yes"} if figure == "fig3" else {"yes", "here", "stored"})
        done = run("run", *words_of(figure), f"figure=[{figure},matrix]")
        assert done.returncode == 0, done.stderr
        done = run("reproduce", figure, *words_of(figure))
        assert done.returncode == 0, done.stderr
        results = folder / "out" / "reproduce" / f"{figure}--latest"
        assert (results / f"{figure}.png").is_file()
        table = pd.read_parquet(results / "alignment.parquet")
        assert table.x_model.nunique() == count
    assert not hub.asked(r"consolidated|\.gguf|original/consolidated|\.bin$(?<!pytorch_model.bin)")


@pytest.mark.parametrize(
    ("state", "settings"), [("stopped", {}), ("offline", {"HF_HUB_OFFLINE": "1"})], ids=["stopped", "offline"]
)
def test_the_experiment_again_without_the_hub(stage, state, settings):
    hub, run, folder = stage
    asked = len(hub.requests)
    if state == "stopped":
        hub.stop()
    try:
        for figure in ("fig3", "fig4"):
            done = run("reproduce", figure, *words_of(figure), **settings)  # from the features of the first run
            assert done.returncode == 0, done.stderr
            # every model anew, from the cache
            done = run("reproduce", figure, *words_of(figure), root=state, **settings)
            assert done.returncode == 0, done.stderr
            again, first = (folder / root / "reproduce" / f"{figure}--latest" for root in (state, "out"))
            assert (again / f"{figure}.png").is_file()
            assert (again / "alignment.csv").read_bytes() == (first / "alignment.csv").read_bytes()
        assert len(hub.requests) == asked
    finally:
        if state == "stopped":
            hub.start()


def test_without_a_token_the_gated_models_are_named_and_the_others_are_done(stage):
    hub, run, folder = stage
    names = ("bloomz-560m", "gemma-2b", "gemma-7b", "mistral-7b", "mixtral-8x7b", "dinov2-giant")
    fresh = hub_environment(hub, folder / "another home")  # what is in the cache needs no token
    done = run(
        "run", *words_of("fig4"), f"only='{','.join(names)}'", "figure=[matrix]", root="no_token", **fresh, HF_TOKEN=""
    )
    assert done.returncode == 1
    for id in paper.GATED:
        assert f"model '{id}' at revision " in done.stderr
        assert f"Accept its terms on https://huggingface.co/{id}" in done.stderr
    assert f"{len(paper.GATED)} of the models" in done.stderr


def test_a_branch_that_moves_between_two_processes_is_refused_and_named(stage):
    hub, run, _ = stage
    pairs = hub.repositories["dataset", "minhuh/prh"]
    old = pairs.branches["wit_1024"]
    words = ("suite=prh", "dataset=wit_1024", "only='bloomz-560m,open-llama-3b,in21k-tiny'")
    done = run("extract", *words, root="moved")
    assert done.returncode == 0, done.stderr
    new = pairs.commit(builder_data.pairs(12, seed=7), "wit_1024")
    done = run("align", *words, root="moved")
    assert done.returncode == 1
    assert f"dataset.revision=wit_1024 of minhuh/prh is commit {new} now" in done.stderr
    assert f"was made at {old}" in done.stderr
    done = run("align", *words, f"dataset.revision={old}", root="moved")
    assert done.returncode == 0, done.stderr
