"""The pairs of a run: the requested pairs, or their substitute if they are not available."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platorep.commands.experiment import Experiment
from platorep.core.errors import unknown_name
from platorep.core.matching import matching
from platorep.core.progress import bar
from platorep.core.specs import DatasetSpec


def config_dir() -> Path:
    """The configuration files: inside the installed package, else beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def named_dataset(name: str) -> DatasetSpec:
    """The dataset of a named configuration, without overrides from the command line.

    Raises:
        UnknownNameError: there is no such configuration; the message has the nearest names.
    """
    from omegaconf import OmegaConf

    path = config_dir() / "dataset" / f"{name}.yaml"
    if not path.is_file():
        raise unknown_name("dataset", name, (other.stem for other in path.parent.glob("*.yaml")))
    values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return DatasetSpec.from_dict(values)


def with_pairs_at_hand(experiment: Experiment, *, fetching: bool) -> Experiment:
    """The experiment with the requested dataset, or with its substitute.

    Args:
        experiment: the experiment as configured.
        fetching: whether the command may fetch pairs; otherwise stored pairs are used.
    """
    if experiment.dataset.instead is None:
        return experiment
    from platorep.data.instead import pairs_at_hand

    def stored(spec: DatasetSpec) -> bool:
        specs = {str(folder): known for folder, known in experiment.store.datasets(spec.name)}
        return bool(matching(spec, specs, lambda _: None))  # packaged pairs are on no branch

    with bar("Looking for the pairs") as report:
        dataset = pairs_at_hand(experiment.dataset, named_dataset, stored=stored, fetching=fetching, progress=report)
    return experiment if dataset == experiment.dataset else experiment.replace(dataset=dataset)
