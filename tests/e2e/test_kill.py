"""A run that is killed at any moment and started again ends with the bytes of one that was left alone."""

import json
import random
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.e2e.runs import configuration, contents, run, run_and_kill


SMALL = (
    "suite=synthetic",
    "dataset=synthetic",
    "dataset.n=48",
    "compute.shard_rows=8",
    "compute.workers=0",
    "compute.device=cpu",
)
KILLS = 4


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked child must not inherit a pool of threads that it does not have
    yield
    torch.set_num_threads(before)


def test_a_run_killed_at_random_points_ends_with_the_same_bytes(tmp_path, one_thread):
    undisturbed = configuration(tmp_path / "undisturbed", *SMALL)
    start = time.monotonic()
    assert run_and_kill(undisturbed, after=120)
    seconds = time.monotonic() - start
    chance = random.Random(0)
    disturbed = configuration(tmp_path / "disturbed", *SMALL)
    kills = 0
    while kills < KILLS and not run_and_kill(disturbed, after=chance.uniform(0, seconds / 2)):
        kills += 1
    run(disturbed)
    expected, got = contents(tmp_path / "undisturbed"), contents(tmp_path / "disturbed")
    assert kills > 0
    leftovers = [name for name in got if name.endswith(".tmp")]
    assert set(got) - set(leftovers) == set(expected)
    assert [name for name in expected if got[name] != expected[name]] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_command_says_what_is_finished_and_how_to_go_on_and_leaves_its_status(tmp_path, number, code):
    words = ["suite=synthetic", "dataset=synthetic", "dataset.n=480", "only=efficientnet_random", f"root={tmp_path}"]
    compute = ["compute.device=cpu", "compute.workers=1", "compute.shard_rows=4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "platorep", "extract", *words, *compute],
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts background jobs with SIGINT ignored, and a child inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 600  # only a starved machine comes near it
        while not list(tmp_path.glob("features/*/*/shard-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == code
    assert re.search(r"efficientnet_random: \d+ of 120 shards are finished\.", said)
    assert "extract: interrupted. Finished work is kept: run the same command again to continue." in said
    # the interrupt shows no trace of its own; a worker's broken pipe may still be reported by multiprocessing
    assert not re.search(r"^[\w.]*(KeyboardInterrupt|Terminated)", said, re.MULTILINE)
    assert "/platorep/" not in said.partition("Traceback")[2]
    (status,) = tmp_path.glob("runs/*/*/status.json")
    assert json.loads(status.read_text())["status"] == "interrupted"
    assert list(tmp_path.glob("features/*/*/shard-*"))
