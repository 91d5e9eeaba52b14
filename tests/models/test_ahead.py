"""Weights read ahead: the files that a load opens, at the time when another model computes, with no effect on any result."""

from __future__ import annotations

import builtins
from types import SimpleNamespace

import psutil
import pytest
import torch

from platorep import pipeline, stages
from platorep.core.errors import PlatorepError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import ahead, load, resolve
from tests import small_models
from tests.e2e.runs import configuration, contents


CPU = torch.device("cpu")


@pytest.fixture
def suite(tmp_path):
    """Builds the configuration of three small local models and a random one, under a root."""
    made = [
        small_models.llama(tmp_path / "llama"),
        small_models.bert(tmp_path / "bert"),
        small_models.clip(tmp_path / "clip", "vision"),
    ]
    words = {}
    for one in made:
        words[one.name] = {
            "modality": one.modality,
            "source": one.source,
            "id": one.id,
            "asset": {"source": "path", "id": one.asset.id},
        }

    def configure(root, *more):
        small = ["suite=synthetic", "dataset=synthetic", "dataset.n=24", "compute.device=cpu", "compute.workers=0"]
        cfg = configuration(tmp_path / root, *small, *more)
        cfg["models"] = {**words, "vit_random": cfg["models"]["vit_random"]}
        return cfg, pipeline.Settings.from_config(cfg)

    return configure


def test_files_read_ahead_are_those_that_a_load_reads(tmp_path, monkeypatch):
    for spec in (small_models.llama(tmp_path / "llama"), small_models.clip(tmp_path / "clip", "vision")):
        spec = resolve(spec, CPU)
        files = ahead.weight_files(spec)
        assert [file.suffix for file in files] == [".safetensors"]
        load(spec, CPU)
        files[0].rename(files[0].with_suffix(".gone"))
        with pytest.raises(PlatorepError, match="model.safetensors|holds no \\*.safetensors"):
            load(spec, CPU)


def test_every_byte_is_read_unless_memory_is_short(tmp_path, monkeypatch):
    (tmp_path / "weights.npy").write_bytes(bytes(3000))
    spec = ModelSpec(
        name="m",
        modality="language",
        source="static",
        id="m",
        asset=AssetSpec(source="path", id=str(tmp_path)),
        revision="r",
    )
    read = []
    monkeypatch.setattr(ahead, "_read", lambda files: read.extend(files))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=5999))
    ahead.read_ahead(spec).join()
    assert read == []
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=6000))
    ahead.read_ahead(spec).join()
    assert read == [tmp_path / "weights.npy"]


def test_reading_goes_through_the_whole_file(tmp_path, monkeypatch):
    (tmp_path / "a.npy").write_bytes(bytes(50))
    counted = []

    class Counting:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def readinto(self, buffer):
            counted.append(self.file.readinto(buffer))
            return counted[-1]

    real = builtins.open
    monkeypatch.setattr(ahead, "AT_ONCE", 16)
    monkeypatch.setattr(ahead, "open", lambda *args, **more: Counting(real(*args, **more)), raising=False)
    ahead._read([tmp_path / "a.npy"])
    assert counted == [16, 16, 16, 2, 0]


def test_the_next_model_is_read_while_this_one_computes_and_waited_for_before_its_turn(suite, monkeypatch):
    events = []

    def extract(spec, *_, loaded, **__):
        events.append(f"load {spec.model.name}")
        loaded()
        events.append(f"run {spec.model.name}")

    def read_ahead(spec):
        events.append(f"read {spec.name}")
        return SimpleNamespace(join=lambda: events.append(f"wait for {spec.name}"))

    monkeypatch.setattr("platorep.extract.extract", extract)
    monkeypatch.setattr("platorep.models.read_ahead", read_ahead)
    cfg, settings = suite("a")
    assert stages.extract_models(cfg, settings) == []
    names = ["llama", "bert", "clip_vision", "vit_random"]
    expected = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        expected += [f"load {name}", *([f"read {following}"] if following else []), f"run {name}"]
        expected += [f"wait for {following}"] if following else []
    assert events == expected
    events.clear()
    monkeypatch.setattr("platorep.models.evict", lambda _: None)
    cfg, settings = suite("b", "evict=true")
    stages.extract_models(cfg, settings)
    assert [
        event for event in events if event.startswith(("read", "wait"))
    ] == []  # the disk is to hold one model at a time


def test_nothing_is_read_ahead_of_a_model_that_has_no_work_here(suite, monkeypatch):
    """As where another process still owes shards: the model is not loaded, and the next one's turn comes at once."""
    read = []
    monkeypatch.setattr(
        "platorep.models.read_ahead", lambda spec: read.append(spec.name) or SimpleNamespace(join=lambda: None)
    )
    cfg, settings = suite("a", "shard=0/2", "compute.shard_rows=2")
    stages.extract_models(cfg, settings)
    assert read == ["bert", "clip_vision", "vit_random"]
    read.clear()
    stages.extract_models(cfg, settings)
    assert read == []


def test_reading_ahead_touches_nothing_that_belongs_to_the_whole_process(tmp_path, monkeypatch):
    """No random number of torch, and not its default dtype: a model that computes meanwhile uses both. A load takes both."""
    specs = [resolve(one, CPU) for one in (small_models.bert(tmp_path / "bert"), small_models.picture())]
    taken = []
    monkeypatch.setattr(torch, "manual_seed", lambda seed: taken.append("generator"))
    monkeypatch.setattr(torch, "set_default_dtype", lambda dtype: taken.append("dtype"))
    before = torch.get_rng_state()
    for spec in specs:
        ahead.read_ahead(spec).join()
    assert taken == []
    assert torch.equal(torch.get_rng_state(), before)
    for spec in specs:
        load(spec, CPU)
    assert set(taken) == {"generator", "dtype"}


def test_results_are_the_same_bytes(suite, tmp_path, monkeypatch):
    cfg, settings = suite("ahead")
    assert stages.extract_models(cfg, settings) == []
    monkeypatch.setattr("platorep.models.read_ahead", lambda spec: SimpleNamespace(join=lambda: None))
    cfg, settings = suite("alone")
    assert stages.extract_models(cfg, settings) == []
    assert contents(tmp_path / "ahead") == contents(tmp_path / "alone")


def test_what_fails_ahead_is_the_failure_of_its_own_model_alone(suite, monkeypatch):
    """bert's weights vanish after it was resolved: reading them ahead fails beside llama, which is none of llama's business."""
    cfg, settings = suite("a")
    real = ahead.weight_files
    failures = []

    def weight_files(spec):
        if spec.name == "bert":
            failures.append(spec.name)
            raise OSError("the disk is gone")
        return real(spec)

    monkeypatch.setattr(ahead, "weight_files", weight_files)
    assert stages.extract_models(cfg, settings) == []  # the load itself succeeds
    assert failures == ["bert"]
    cfg, settings = suite("b")
    monkeypatch.setattr("platorep.extract.engine.load", lambda spec, device: _load_unless_bert(spec, device))
    failed = stages.extract_models(cfg, settings)
    assert [one.model for one in failed] == ["bert"]
    assert "OSError: the disk is gone" in failed[0].error


def _load_unless_bert(spec, device):
    if spec.name == "bert":
        raise OSError("the disk is gone")
    return load(spec, device)
