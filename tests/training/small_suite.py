"""Some networks of suite=fashion, trained on small pictures, and how a network is trained on the digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands.configuration import experiment
from platorep.commands.experiment import Experiment
from platorep.core.specs import DatasetSpec, TrainingSpec
from tests.training.idx_files import NAMES, write_idx


schema.register()

KEPT = ("mlp_32_seed0", "mlp_32_seed1")

DIGITS = DatasetSpec(name="digits", source="digits", n=None, order_seed=0, on_bad_sample="drop")
TRAINING = TrainingSpec(dataset=DIGITS, epochs=10, batch=50, side=8, rate=3e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits as IDX files, with a cache of their own."""
    folder = tmp_path_factory.mktemp("idx")
    write_idx(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATOREP_CACHE", str(folder / "cache"))
        yield folder


def configured(folder: Path, *words: str, task: str = "basin", only: Sequence[str] = KEPT) -> Experiment:
    """The experiment of a command over some networks of suite=fashion, trained for three epochs on the digits."""
    asset = f"[{{source: path, id: {folder}}}]"
    options = "{names: [" + ",".join(NAMES) + "]}"
    base = [f"only=[{','.join(only)}]", f"root={folder / 'out'}", "basin.points=3", "basin.pictures=300"]
    base += ["basin.near=100", "basin.epochs=[1]", "basin.forks=[0,2]", "compute.threads=1"]
    base += [f"dataset.assets={asset}", f"dataset.options={options}"]
    for name in only:
        training = f"models.{name}.training"
        base += [f"{training}.epochs=3", f"{training}.batch=100", f"++{training}.side=8"]
        base += [f"{training}.dataset.assets={asset}", f"{training}.dataset.options={options}"]
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return experiment(OmegaConf.to_container(compose(task, overrides=[*base, *words]), resolve=True))
