"""Callbacks of Hydra that send the results of every job to MLflow or Weights & Biases: hydra/callbacks=mlflow.

They read what the job has left on disk, so the commands do not know about them. Hydra shows the error of a callback as
a warning: no result is lost if a tracker cannot be reached.
"""

from __future__ import annotations

import re
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from platorep.core.files import read_json


class Tracker(Callback):
    """Reads the status and the tables of a job after it has finished, and passes them on."""

    package: str
    """The package that the tracker needs; the extra has the same name."""

    def __init__(self) -> None:
        if find_spec(self.package) is None:
            sys.exit(
                f"platorep: hydra/callbacks={self.package} needs the package {self.package}: "
                f"pip install 'platorep[{self.package}]'"
            )

    def on_job_end(self, config: DictConfig, job_return: Any, **_: Any) -> None:
        folder, root = Path(config.hydra.runtime.output_dir), Path(config.root)
        if not (folder / "status.json").is_file():  # `ls` and `doctor` leave none
            return
        status = read_json(folder / "status.json")
        settings = {"command": status["task"], "status": status["status"]}
        settings |= dict(word.lstrip("+").split("=", 1) for word in status["overrides"] if "=" in word)
        files = [root / result for result in status.get("results", [])]
        name = (
            f"{status['task']} {folder.name if folder.parent.name == status['task'] else '/'.join(folder.parts[-2:])}"
        )
        self.log(name, settings, scores_in(files), [file for file in files if file.is_file()])

    @abstractmethod
    def log(self, name: str, settings: Mapping[str, str], scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Sends one job.

        Args:
            name: command and time of the job.
            settings: command, status and overrides.
            scores: the chosen layers' scores, by metric and pair of models.
            files: tables and figures that the job wrote.
        """


def scores_in(files: Sequence[Path]) -> dict[str, float]:
    """The scores in the tables of chosen layers among the files of a job: "metric/x model/y model" -> score."""
    from platorep.results.tables import SelectionTable

    tables = [SelectionTable.load(file).frame for file in files if file.parent.name == "selected" and file.is_file()]
    return {
        f"{row.metric}/{row.x_model}/{row.y_model}": float(row.score)
        for table in tables
        for row in table.itertuples()
        if row.score == row.score
    }


class MLflow(Tracker):
    """A run of MLflow per job: parameters, metrics, artifacts."""

    package = "mlflow"

    def __init__(self, experiment: str = "platorep", uri: str | None = None) -> None:
        super().__init__()
        self.experiment, self.uri = experiment, uri

    def log(self, name: str, settings: Mapping[str, str], scores: Mapping[str, float], files: Sequence[Path]) -> None:
        import mlflow

        if self.uri is not None:
            mlflow.set_tracking_uri(self.uri)
        mlflow.set_experiment(self.experiment)
        with mlflow.start_run(run_name=name):
            mlflow.log_params(dict(settings))
            # names of metrics may hold letters, digits and _-. :/
            mlflow.log_metrics({re.sub(r"[^\w\-. :/]", "_", key): value for key, value in scores.items()})
            for file in files:
                mlflow.log_artifact(str(file))


class Wandb(Tracker):
    """A run of Weights & Biases per job: configuration, summary, pictures, files."""

    package = "wandb"

    def __init__(self, project: str = "platorep", mode: Any = None) -> None:
        super().__init__()
        self.project, self.mode = project, mode

    def log(self, name: str, settings: Mapping[str, str], scores: Mapping[str, float], files: Sequence[Path]) -> None:
        import wandb

        with wandb.init(project=self.project, name=name, config=dict(settings), mode=self.mode) as run:
            run.summary.update(dict(scores))
            run.log({file.stem: wandb.Image(str(file)) for file in files if file.suffix == ".png"})
            for file in files:
                run.save(str(file), base_path=str(file.parent), policy="now")
