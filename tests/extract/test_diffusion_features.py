"""The script that imports features of diffusion transformers, and the experiment that reads them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from platorep.cli import schema
from platorep.commands.configuration import experiment
from platorep.commands.reproduce import reproduce


SCRIPT = Path(__file__).parents[2] / "scripts" / "diffusion_features.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("diffusion_features", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(256, size=(40, 48, 3), dtype=np.uint8)) for _ in range(12)]


@pytest.fixture(scope="module")
def model(script):
    return script.of_small(script.small(torch.zeros(4, 3, 32, 32), steps=0))


def test_a_layer_is_the_mean_token_of_a_block_at_a_timestep_whatever_the_batch(script, model, pictures):
    found = script.features(model, pictures.__getitem__, 12, [0.2, 0.8])
    assert list(found) == [f"block.{block:02d}/t={t}" for t in ("0.20", "0.80") for block in range(script.DEPTH)]
    apart = script.features(model, pictures.__getitem__, 12, [0.2, 0.8], batch=5)
    assert all(np.allclose(found[name], apart[name], atol=1e-5) for name in found)
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))  # of the first picture
    seen = []
    hook = model.blocks[2].register_forward_hook(lambda _m, _i, out: seen.append(out.mean(1)))
    with torch.no_grad():
        model.run(0.8 * model.inputs(pictures[:1]) + 0.2 * noise, 0.2)
    hook.remove()
    assert np.allclose(found["block.02/t=0.20"][0], seen[0][0].numpy(), atol=1e-5)


def test_at_one_nothing_is_left_of_the_picture_and_at_nought_nothing_of_the_noise(script, model, pictures):
    whole = script.features(model, pictures.__getitem__, 12, [0.0, 1.0])
    other = script.features(model, pictures[::-1].__getitem__, 12, [0.0, 1.0])
    noise = script.features(model, pictures.__getitem__, 12, [0.0, 1.0], seed=1)
    assert np.allclose(whole["block.05/t=1.00"], other["block.05/t=1.00"], atol=1e-6)
    assert not np.allclose(whole["block.05/t=0.00"], other["block.05/t=0.00"], atol=1e-3)
    assert np.allclose(whole["block.05/t=0.00"], noise["block.05/t=0.00"], atol=1e-6)
    assert not np.allclose(whole["block.05/t=1.00"], noise["block.05/t=1.00"], atol=1e-3)


def test_training_lowers_the_loss(script):
    rng = np.random.default_rng(1)
    flat = torch.tensor(rng.uniform(-1, 1, size=(16, 3, 1, 1)), dtype=torch.float32).expand(-1, -1, 32, 32)
    losses = []
    for steps in (0, 40):
        model, noise = script.small(flat, steps), torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            predicted = model(torch.lerp(flat, noise, 0.5), torch.full((16,), 0.5))
        losses.append(float((predicted - (noise - flat)).square().mean()))
    assert losses[1] < 0.7 * losses[0]


def test_the_experiment_maps_blocks_and_timesteps(script, tmp_path, monkeypatch):
    words = ["small", "--dataset", "synthetic", "--n", "24", "--steps", "1", "--times", "0.25", "0.75"]
    monkeypatch.setattr(sys, "argv", ["diffusion_features.py", *words, "--root", str(tmp_path)])
    script.main()
    schema.register()
    small = ["suite=synthetic", "dataset=synthetic", "dataset.n=24", "compute.device=cpu", "compute.workers=0"]
    words = [*small, "only=[diffusion,pixels,vit_random]", "metric.cknna_prh.k=2", "figure.timesteps.y=null"]
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        made = compose("reproduce", overrides=["reproduce=timesteps_offline", *words, f"root={tmp_path}"])
    folder, *_ = reproduce(experiment(OmegaConf.to_container(made, resolve=True)))
    table = np.genfromtxt(folder / "timesteps_offline.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert set(table["model"]) == {"diffusion"}
    assert sorted(set(table["time"])) == [0.25, 0.75]
    assert len(table) == 2 * script.DEPTH


def test_a_dit_of_diffusers_is_read_without_a_class(script, pictures, tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is missing: scripts/test_slow.sh installs it")
    diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=3, sample_size=8, num_embeds_ada_norm=10
    ).save_pretrained(tmp_path / "transformer")
    vae = diffusers.AutoencoderKL(block_out_channels=(8,), norm_num_groups=2, latent_channels=4)
    vae.save_pretrained(tmp_path / "vae")
    diffusers.DDPMScheduler().save_pretrained(tmp_path / "scheduler")
    found = script.features(script.of_diffusers(str(tmp_path), "cpu"), pictures.__getitem__, 4, [0.0, 0.5])
    assert list(found) == [f"block.{block:02d}/t={t}" for t in ("0.00", "0.50") for block in range(3)]
    assert found["block.00/t=0.50"].shape == (4, 16)
