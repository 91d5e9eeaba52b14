"""The paper's own command against the loopback Hub, from an empty cache to figures; see also `test_rehearsal.py`."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from platorep import cli
from platorep.results.tables import AlignmentTable
from tests.e2e.runs import contents
from tests.hub import builder, builder_data, builder_vision, paper
from tests.hub.conftest import go_offline, start_anew, turn_clients_to


EYE = "test_vit.r160_in1k"
"""timm's smallest transformer stands where the paper's smallest would take most of the time."""

WORDS = (
    "suite=prh", "dataset=wit_1024", f"models.in21k-tiny.id={EYE}", "compute.device=cpu", "compute.workers=0",
    "statistics.permutations=20",
)  # fmt: skip
LANGUAGE = ("bloomz-560m", "open-llama-3b", "llama-7b")
ONLY = f"only='{','.join((*LANGUAGE, 'in21k-tiny'))}'"


@pytest.fixture
def papers(hub):
    """Three of the paper's language models, a vision transformer, and the pairs, 16 of them."""
    for id in ("bigscience/bloomz-560m", "openlm-research/open_llama_3b", "huggyllama/llama-7b"):
        hub.add(id, paper.LANGUAGE[id](2, 0))
    hub.add(f"timm/{EYE}", builder_vision.timm_model(EYE))
    builder_data.add_prh(hub, 16)
    return hub


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a command as a process of its own would: knowing nothing. Returns its exit status and what it said."""

    def run(*words):
        start_anew(monkeypatch)
        with pytest.raises(SystemExit) as ended:
            cli.app([words[0], *WORDS, ONLY, *words[1:]])
        return ended.value.code or 0

    return run


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("platorep.assets.patience.FIRST_WAIT", 0.0)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


def said(root, name):
    """What the last command of a name says in its status."""
    return json.loads(
        max((root / "runs" / name).rglob("status.json"), key=lambda path: path.stat().st_mtime).read_text()
    )


def test_from_an_empty_cache_to_figures_and_again_without_the_hub(papers, command, tmp_path, monkeypatch):
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    assert command("run", "figure=[fig3,matrix]", f"root={first}") == 0
    assert {path.name for path in (first / "figures").rglob("*.png")} == {"fig3.png", "matrix.png"}
    table = AlignmentTable.load([p for p in (first / "alignment").glob("*/*.parquet") if "samples" not in p.name]).frame
    assert set(table.x_model) == set(LANGUAGE)
    assert set(table.y_model) == {"in21k-tiny"}
    made = {name: content for name, content in contents(first).items() if not name.startswith("figures")}
    papers.stop()
    assert command("run", "figure=[matrix]", f"root={second}") == 0  # every model anew, from the cache
    assert {name: content for name, content in contents(second).items() if not name.startswith("figures")} == made
    go_offline(monkeypatch)
    assert command("extract", f"root={third}") == 0
    assert command("align", f"root={first}") == 0


def test_a_branch_that_moves_between_extraction_and_alignment_is_refused_and_named(papers, command, tmp_path):
    root = f"root={tmp_path}"
    pairs = papers.repositories["dataset", "minhuh/prh"]
    old = pairs.branches["wit_1024"]
    assert command("extract", root) == 0
    new = pairs.commit(builder_data.pairs(12, seed=7), "wit_1024")
    assert command("align", root) == 1
    error = said(tmp_path, "align")["error"]
    assert f"dataset.revision=wit_1024 of minhuh/prh is commit {new} now" in error
    assert f"was made at {old}" in error
    assert command("align", root, f"dataset.revision={old}") == 0
    # half of the models at the new commit: neither half is scored against the other
    assert command("extract", root, "only=in21k-tiny") == 0
    assert command("align", root) == 1
    assert f"made at {old}" in said(tmp_path, "align")["error"]
    assert command("extract", root) == 0
    assert command("align", root) == 0


def test_models_that_cannot_be_had_are_named_and_the_others_are_scored(papers, command, tmp_path, no_waiting):
    papers.fail("503", "GET /storage/.*llama-7b/", times=-1)
    papers.repositories["model", "bigscience/bloomz-560m"].gated = True
    assert command("run", "figure=[matrix]", f"root={tmp_path}") == 1
    error = said(tmp_path, "run")["error"]
    assert "2 of the models failed; the others are done" in error or "2 of the models or tasks failed" in error
    assert "bloomz-560m: AssetError: model 'bigscience/bloomz-560m' at revision " in error
    assert "is gated. Accept its terms on https://huggingface.co/bigscience/bloomz-560m" in error
    assert "llama-7b: AssetError: model 'huggyllama/llama-7b' at revision " in error
    assert "answered 503 to 5 tries" in error
    table = AlignmentTable.load(
        [p for p in (tmp_path / "alignment").glob("*/*.parquet") if "samples" not in p.name]
    ).frame
    assert set(table.x_model) == {"open-llama-3b"}


FAULTS = {
    "429": "GET /api/models/bigscience/bloomz-560m",
    "503": "open_llama_3b/.*tokenizer_config",
    "drop": "GET /api/models/huggyllama/llama-7b",
    "reset": "GET /storage/.*llama-7b/.*-of-",
    "flip": "GET /storage/.*bloomz-560m/",
    "truncate": "GET /storage/dataset/minhuh/prh/",
}
"""Every kind of fault, each of a request without which there are no features, or other ones."""


def test_one_fault_of_every_kind_leaves_the_features_of_a_run_as_they_were(
    papers, command, home, tmp_path, monkeypatch, no_waiting
):
    for kind, pattern in FAULTS.items():
        papers.fail(kind, pattern)
    assert command("extract", f"root={tmp_path / 'spoilt'}") == 0
    assert not [fault for fault in papers.faults if fault.times]
    turn_clients_to(papers, home.with_name("another home"), monkeypatch)  # nothing of the first download is left
    assert command("extract", f"root={tmp_path / 'whole'}") == 0
    assert contents(tmp_path / "spoilt") == contents(tmp_path / "whole")


def test_models_whose_files_stay_wrong_are_named_and_have_no_features(papers, command, tmp_path, no_waiting):
    papers.fail("flip", "GET /storage/.*bloomz-560m/", times=-1)
    papers.fail("reset", "GET /storage/.*llama-7b/", times=-1)
    files = papers.repositories["model", "openlm-research/open_llama_3b"]
    config = json.loads(paper.LANGUAGE[files.id](2, 0)["config.json"]) | {"num_hidden_layers": 3}
    files.commit({**paper.LANGUAGE[files.id](2, 0), "config.json": json.dumps(config).encode()})
    assert command("extract", f"root={tmp_path}") == 1
    error = said(tmp_path, "extract")["error"]
    assert "bloomz-560m: AssetError: model 'bigscience/bloomz-560m' at " in error
    assert "model.safetensors came twice with other bytes than the Hub says" in error
    assert "llama-7b: AssetError: model 'huggyllama/llama-7b' at revision " in error
    assert "open-llama-3b: SpecError: the checkpoint lacks " in error
    assert [path.parent.name.partition("--")[0] for path in tmp_path.rglob("manifest.json")] == ["in21k-tiny"]


def test_features_stay_of_use_after_the_weights_were_removed_and_the_hub_is_gone(papers, command, tmp_path):
    root, only = f"root={tmp_path}", "only='open-llama-3b,in21k-tiny'"
    assert command("extract", root, only, "evict=true") == 0
    papers.stop()
    assert command("run", root, only, "figure=[matrix]") == 0
    assert command("extract", root, only, "overwrite=true") == 1
    assert "open-llama-3b: AssetError: model 'openlm-research/open_llama_3b'" in said(tmp_path, "extract")["error"]


def test_a_dataset_that_cannot_be_had_ends_the_command_in_a_sentence(papers, command, tmp_path):
    papers.stop()
    assert command("extract", f"root={tmp_path}") == 1
    error = said(tmp_path, "extract")["error"]
    assert error.startswith("AssetError: dataset 'minhuh/prh' at revision 'wit_1024' could not be fetched from the Hub")
    assert "hf download minhuh/prh --repo-type dataset" in error


def test_training_steps_are_scored_side_by_side(papers, command, tmp_path):
    repository = papers.add("EleutherAI/pythia-70m", builder.pythia())
    for step in (1000, 143000):
        repository.commit(builder.pythia(seed=step), f"step{step}")
    entry = "{modality: language, source: transformers, id: EleutherAI/pythia-70m, family: pythia, revision: %s}"
    models = [f"+models.step{step}={entry % f'step{step}'}" for step in (1000, 143000)]
    only = "only='step1000,step143000,in21k-tiny'"
    assert command("extract", f"root={tmp_path}", *models, only) == 0
    assert command("align", f"root={tmp_path}", *models, only) == 0
    repository.commit(builder.pythia(seed=3), "step1000")
    assert command("align", f"root={tmp_path}", *models, only) == 1
    assert "models.step1000.revision=step1000 of EleutherAI/pythia-70m is commit" in said(tmp_path, "align")["error"]


def test_one_entry_with_two_revisions_is_extracted_aligned_and_drawn(papers, command, tmp_path):
    repository = papers.add("EleutherAI/pythia-70m", builder.pythia())
    for step in (1000, 143000):
        repository.commit(builder.pythia(seed=step), f"step{step}")
    entry = "{modality: language, source: transformers, id: EleutherAI/pythia-70m, family: pythia, revisions: %s}"
    words = (f"+models.lm={entry % '[step1000,step143000]'}", "only='lm,in21k-tiny'", f"root={tmp_path}")
    assert command("run", *words, "figure=[dynamics]") == 0
    table = AlignmentTable.load([p for p in (tmp_path / "alignment").glob("*/*.parquet") if "samples" not in p.name])
    assert set(table.frame.x_model) == {"lm-step1000", "lm-step143000"}
    drawn = pd.read_csv(next((tmp_path / "figures").rglob("dynamics.csv")))
    assert list(zip(drawn.series, drawn.trajectory, drawn.step, drawn.other_model, strict=True)) == [
        ("pythia", "lm", 1000, "in21k-tiny"), ("pythia", "lm", 143000, "in21k-tiny"),
    ]  # fmt: skip
    best = table.best().set_index("x_model").score
    assert list(drawn.score) == [best["lm-step1000"], best["lm-step143000"]]
    manifests = {
        path.parent.name.partition("--")[0]: json.loads(path.read_text()) for path in tmp_path.rglob("manifest.json")
    }
    revisions = {name: manifests[name]["spec"]["model"]["revision"] for name in ("lm-step1000", "lm-step143000")}
    assert revisions == {f"lm-{branch}": repository.branches[branch] for branch in ("step1000", "step143000")}
    assert command("reproduce", *words, "reproduce=dynamics", "figure.dynamics.x=loss") == 0
    losses = pd.read_csv(tmp_path / "reproduce" / "dynamics--latest" / "dynamics.csv")
    known = pd.read_csv(tmp_path / "reproduce" / "dynamics--latest" / "competence.csv")
    bits = known[known.measure == "bits_per_byte"].set_index("model").value
    assert list(losses.x) == list(bits[losses.model])
    assert losses[["low", "high", "null_mean"]].notna().all(axis=None)
    assert command("extract", *words[1:], f"+models.lm={entry % '[step1000,step2000]'}") == 1
    assert "lm-step2000: AssetError: model 'EleutherAI/pythia-70m'" in said(tmp_path, "extract")["error"]
