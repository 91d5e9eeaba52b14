"""A sweep over models and shards gives the same store with every launcher; a failing job is named and stops no other.

Minutes of process starts: scripts/test_launchers.sh runs these.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.runs import contents


pytestmark = pytest.mark.launchers

MODELS = "tfidf,pixels,vit_random,efficientnet_random"
BROKEN = "+models.broken={modality: vision, source: timm, id: no_such_net, weights: random}"
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "local": ["hydra/launcher=local", "hydra.launcher.timeout_min=10"],
    "ray": ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"],
}


def extract(root, *words):
    command = [sys.executable, "-m", "platorep", "extract", "suite=synthetic", "dataset=synthetic", "dataset.n=24"]
    command += [
        "compute.shard_rows=8",
        "compute.workers=0",
        "compute.device=cpu",
        "compute.threads=1",
        f"root={root}",
        *words,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What one run of the command leaves, no sweep and no shards."""
    root = tmp_path_factory.mktemp("plain")
    done = extract(root)
    assert done.returncode == 0, done.stderr
    return contents(root)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_over_models_and_shards_gives_the_bytes_of_one_run(launcher, plain, tmp_path):
    done = extract(tmp_path, "-m", *LAUNCHERS[launcher], f"only={MODELS}", "shard=0/2,1/2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path) == plain


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_failing_job_is_named_in_its_own_log_and_the_others_are_done(launcher, plain, tmp_path):
    done = extract(tmp_path, "-m", *LAUNCHERS[launcher], BROKEN, f"only=broken,{MODELS}")
    assert done.returncode == 1
    statuses = {}
    for path in (tmp_path / "runs").rglob("status.json"):
        status = json.loads(path.read_text())
        only = next(word for word in status["overrides"] if word.startswith("only="))
        statuses[only] = status
    assert {name: status["status"] for name, status in statuses.items()} == {
        "only=broken": "failed",
        **{f"only={name}": "ok" for name in MODELS.split(",")},
    }
    assert "unknown timm architecture 'no_such_net'" in statuses["only=broken"]["error"]
    assert contents(tmp_path) == plain


def test_one_job_a_model_of_the_suite(plain, tmp_path):
    done = extract(tmp_path, "-m", "sweep=per_model")
    assert done.returncode == 0, done.stderr[-3000:]
    assert contents(tmp_path) == plain
    assert len(list((tmp_path / "runs").rglob("status.json"))) == 4
