"""Whole runs in this process or in a child, and what they leave on disk."""

import json
import os
import signal
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands.configuration import experiment
from platorep.commands.run import run as run_command


def configuration(root: Path, *overrides: str, command: str = "run") -> dict:
    """The plain configuration of a command under `root`."""
    schema.register()
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(command, overrides=[f"root={root}", *overrides]), resolve=True)


def run(cfg: dict) -> None:
    """What `platorep run` does, without Hydra's run folder."""
    run_command(experiment(cfg))


def run_and_kill(cfg: dict, after: float) -> bool:
    """Runs in a forked child and sends SIGKILL after a number of seconds; returns whether the child ended before."""
    child = os.fork()
    if child == 0:
        try:
            run(cfg)
            os._exit(0)
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.waitstatus_to_exitcode(status) != 0:
                raise RuntimeError("the run failed by itself")
            return True
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def contents(root: Path) -> dict[str, bytes]:
    """Every file under features, alignment, competence and figures; of a manifest all but its provenance."""
    found = {}
    for part in ("features", "alignment", "competence", "figures"):
        for path in sorted((root / part).rglob("*")):
            if not path.is_file():
                continue
            raw = path.read_bytes()
            if path.name == "manifest.json":
                manifest = json.loads(raw)
                del manifest["provenance"], manifest["checksum"]  # times
                raw = json.dumps(manifest, sort_keys=True).encode()
            found[str(path.relative_to(root))] = raw
    return found
