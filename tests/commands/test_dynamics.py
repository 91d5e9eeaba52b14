"""The recipe of checkpoints with networks trained on the digits: its figure, and the control of untrained networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep import compare
from platorep.cli import schema
from platorep.commands.configuration import experiment
from platorep.commands.experiment import Experiment
from platorep.commands.reproduce import reproduce
from platorep.core.errors import PlatorepError
from platorep.core.specs import ModelSpec
from platorep.training.pictures import labelled_pictures
from platorep.training.trainer import trained
from tests.training.idx_files import NAMES
from tests.training.small_suite import DIGITS, TRAINING
from tests.training.small_suite import folder as folder


TRAINED = ("mlp_128_seed0", "mlp_128_seed1")


def configured(folder: Path, *words: str) -> Experiment:
    """dynamics_offline with two perceptrons that are trained for five epochs on the digits, and an untrained one."""
    files = [f"assets=[{{source: path, id: {folder}}}]", "options={names: [" + ",".join(NAMES) + "]}"]
    base = ["reproduce=dynamics_offline", f"root={folder / 'dynamics'}", "compute.threads=1", "style.formats=[png]"]
    base += [f"only=[{','.join(TRAINED)},mlp_128_untrained,pixels]", "dataset.n=200", "statistics.permutations=19"]
    base += [f"dataset.{word}" for word in files]
    for name in (*TRAINED, "mlp_128_untrained"):
        training = f"models.{name}.training"
        base += [f"{training}.epochs=5", f"{training}.batch=100", f"++{training}.side=8"]
        base += [f"{training}.dataset.{word}" for word in files]
    base += [f"models.{name}.stops=[0,1,5]" for name in TRAINED]
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return experiment(OmegaConf.to_container(compose("reproduce", overrides=[*base, *words]), resolve=True))


@pytest.fixture(scope="module")
def rows(folder) -> pd.DataFrame:
    """The numbers of the figure."""
    schema.register()
    out, *_ = reproduce(configured(folder))
    assert (out / "dynamics_offline.png").is_file()
    return pd.read_csv(out / "dynamics_offline.csv")


def test_the_recipe_trains_scores_and_draws_every_comparison(rows, folder):
    kinds = ["at the same step", "with another's last", "with its own last", "with mlp_128_untrained", "with pixels"]
    assert list(rows.comparison.unique()) == kinds
    counts = rows.groupby("comparison", sort=False).size()
    assert list(counts) == [3, 2 * 3, 2 * 2, 2 * 3, 2 * 3]
    assert rows[["score", "low", "high", "null_mean"]].notna().all(axis=None)
    assert sorted(rows.step.unique()) == [0, 1, 5]
    comparison = pd.read_csv(folder / "dynamics" / "reproduce" / "dynamics_offline--latest" / "comparison.csv")
    first = comparison[comparison.quantity == "alignment at the same step, mlp_128 – mlp_128, step 0"]
    assert first.measured.item() == pytest.approx(rows[(rows.comparison == kinds[0]) & (rows.step == 0)].score.item())
    known = pd.read_csv(folder / "dynamics" / "reproduce" / "dynamics_offline--latest" / "competence.csv")
    losses = known[known.measure == "cross_entropy"].set_index("model").value
    assert losses["mlp_128_seed0-epoch0"] > losses["mlp_128_seed0-epoch1"] > losses["mlp_128_seed0-epoch5"]
    assert "pixels" not in losses
    assert len(list((folder / "cache" / "trained").iterdir())) == 3  # all checkpoints of a network are one training


def test_untrained_checkpoints_align_as_networks_with_random_weights_do_and_trained_ones_more(folder):
    """What two checkpoints share at epoch 0 is what two random networks share: what they keep of the pixels."""
    pictures = labelled_pictures(DIGITS, 8, 1).inputs[:400]

    def layers(seed: int, stop: int) -> list[np.ndarray]:
        training = TRAINING.replace(stop=stop)
        spec = ModelSpec(name="net", modality="vision", source="trained", id="mlp-128", seed=seed, training=training)
        return [layer.numpy() for layer in trained(spec).layers(pictures)]

    first = compare({"0": layers(0, 0), "1": layers(1, 0)}).best().score.item()
    random = compare({str(seed): layers(seed, 0) for seed in range(2, 8)}).best().score
    last = compare({"0": layers(0, 10), "1": layers(1, 10)}).best().score.item()
    assert len(random) == 15
    assert random.min() < first < random.max() < last
    assert random.min() > 20 * 10 / 399  # far above chance, which says nothing about training


def test_epoch_0_is_the_network_with_random_weights_of_its_seed(folder, rows):
    run = configured(folder, "only=[mlp_128_seed0,mlp_128_untrained]", "models.mlp_128_untrained.seed=0")
    reproduce(run.replace(figures={"dynamics": {}}))
    features = {model.name: model for model in run.features}
    first, random = features["mlp_128_seed0-epoch0"], features["mlp_128_untrained"]
    assert first.key != random.key
    for layer in range(3):
        assert torch.equal(first.load(layer), random.load(layer))
        assert not torch.equal(first.load(layer), features["mlp_128_seed0-epoch1"].load(layer))


def test_an_epoch_that_is_not_kept_is_refused(folder):
    with pytest.raises(PlatorepError, match=r"training.stop is 3; the weights of epochs 0, 1, 2, 5 are kept"):
        reproduce(configured(folder, "only=[mlp_128_seed0,pixels]", "models.mlp_128_seed0.stops=[0,3]"))
