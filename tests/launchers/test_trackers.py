"""Results of a sweep in MLflow's and Weights & Biases' own files on disk; no network is used."""

import json
import os
import subprocess
import sys

import pytest

import platorep


SWEEP = "run -m suite=synthetic dataset=synthetic dataset.n=40 only=[tfidf,pixels] figure=matrix compute.workers=0"
WORDS = [*SWEEP.split(), "statistics.permutations=19", "metric.mutual_knn.k=5,10"]


def sweep(folder, *words, **environment):
    finished = subprocess.run(
        [sys.executable, "-m", "platorep", *WORDS, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "raised" not in finished.stderr, finished.stderr  # Hydra's warning of a callback that failed
    return {int(row.scored_k): row.score for row in platorep.load(folder / "outputs").scores().itertuples()}


@pytest.mark.launchers
def test_mlflow_has_a_run_per_job_with_its_words_scores_and_figures(tmp_path):
    import mlflow

    uri = f"file:{tmp_path / 'mlruns'}"
    scores = sweep(
        tmp_path, "hydra/callbacks=mlflow", f"hydra.callbacks.mlflow.uri={uri}", MLFLOW_ALLOW_FILE_STORE="true"
    )
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("platorep").experiment_id])
    assert len(runs) == 2
    for run in runs:
        k = int(run.data.params["metric.mutual_knn.k"])
        assert run.data.params["command"] == "run"
        ((name, score),) = run.data.metrics.items()
        assert name == f"mutual_knn_k_{k}_similarity_cosine_/tfidf/pixels"
        assert score == scores[k]
        artifacts = {entry.path for entry in client.list_artifacts(run.info.run_id)}
        assert {"matrix.png", "matrix.csv"} <= artifacts


@pytest.mark.launchers
def test_wandb_has_a_run_per_job_offline(tmp_path):
    scores = sweep(tmp_path, "hydra/callbacks=wandb", "hydra.callbacks.wandb.mode=offline")
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    assert all(list(run.glob("files/matrix.csv")) for run in runs)
    written = [next(run.glob("*.wandb")).read_bytes() for run in runs]  # records with names and values as JSON
    for k, score in scores.items():
        (raw,) = [raw for raw in written if f"mutual_knn(k={k}," in raw.decode("latin-1")]
        assert json.dumps(score).encode() in raw


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_tracker_that_is_not_installed_is_named(tmp_path, package):
    code = f"import sys; sys.modules[{package!r}] = None; from platorep import cli; cli.main()"
    words = [*WORDS, f"hydra/callbacks={package}", f"root={tmp_path}"]
    finished = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert (
        f"hydra/callbacks={package} needs the package {package}: pip install 'platorep[{package}]'" in finished.stderr
    )
    assert not (tmp_path / "features").exists()
