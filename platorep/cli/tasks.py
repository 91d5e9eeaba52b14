"""The functions that Hydra calls, one per command, at module level so that launchers can send them to workers.

Each task logs its own failure and writes `status.json` to its run folder, because in a sweep Hydra prints only one
traceback, no matter how many jobs fail.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from platorep.core.disk import disk_errors_of_the_system
from platorep.core.errors import DiskError, PlatorepError
from platorep.core.files import write_json
from platorep.core.interrupts import GO_ON, exit_code, terminable
from platorep.core.provenance import provenance
from platorep.core.resources import use_threads


log = logging.getLogger(__name__)

FETCHING = ("run", "extract", "captions", "reproduce")
"""Commands that may fetch pairs; the others use stored ones."""

WITHOUT_PAIRS = ("simulate", "ls", "doctor")
"""Commands that do not use the pairs of the run."""


def _perform(command: str, cfg: DictConfig) -> Any:
    """Runs one command on the experiment that the configuration describes; a failure is logged and ends with code 1."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    status: dict[str, Any] = {"task": command, "overrides": overrides, "provenance": provenance()}
    start = time.perf_counter()
    try:
        with terminable(), disk_errors_of_the_system():
            plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
            result, root = _body(command)(plain, overrides)
        status |= {"status": "ok", "results": _below(root, result)}
        return result
    except KeyboardInterrupt as interrupt:
        status |= {"status": "interrupted"}
        log.error("%s: interrupted. %s", command, GO_ON)
        if hydra.mode == RunMode.MULTIRUN:
            raise
        sys.exit(exit_code(interrupt))
    except Exception as error:
        status |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        _say(command, error)
        if hydra.mode == RunMode.MULTIRUN:
            raise
        sys.exit(1)
    finally:
        if hydra.output_subdir is not None:  # `ls` and `doctor` write nothing
            status["seconds"] = round(time.perf_counter() - start, 3)
            try:
                write_json(Path(hydra.runtime.output_dir) / "status.json", status)
            except DiskError as error:  # in addition to the error that ended the run
                log.error("%s: no status.json: %s", command, error)


def _say(command: str, error: Exception) -> None:
    """Logs a failure, or writes it to standard error where logging is switched off."""
    if log.disabled or not log.hasHandlers():
        sys.stderr.write(f"{command}: {error}\n")
    elif isinstance(error, PlatorepError):
        log.error("%s: %s", command, error)
    else:
        log.exception("%s failed", command)


def _below(root: Path, result: Any) -> list[str]:
    """The files that a command returned, as paths below the root of all results."""
    paths = [result] if isinstance(result, Path) else result or []
    return [path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)]


def _body(command: str) -> Callable[[dict[str, Any], list[str]], tuple[Any, Path]]:
    """The command as a function of the plain configuration and the command line's words; its result and the root."""

    def body(cfg: dict[str, Any], words: list[str]) -> tuple[Any, Path]:
        from platorep.commands.configuration import experiment
        from platorep.commands.pairs import with_pairs_at_hand

        run = experiment(cfg, words)
        if command not in WITHOUT_PAIRS:
            run = with_pairs_at_hand(run, fetching=command in FETCHING)
        use_threads(run.resources.threads)
        function = getattr(import_module(f"platorep.commands.{command}"), command)
        return function(run, **_arguments(command, cfg)), run.root

    return body


def _arguments(command: str, cfg: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a command other than the experiment: settings that choose what it prints."""
    if command == "ls":
        from hydra.core.hydra_config import HydraConfig

        sources = HydraConfig.get().runtime.config_sources
        return {"listing": cfg["what"], "folders": [Path(s.path) for s in sources if s.schema == "file"]}
    return {"as_json": cfg["json"]} if command == "doctor" else {}


def run(cfg: DictConfig) -> Any:
    """Extract, competence, align, plot."""
    return _perform("run", cfg)


def extract(cfg: DictConfig) -> Any:
    """Features of every model of the suite."""
    return _perform("extract", cfg)


def competence(cfg: DictConfig) -> Any:
    """The competence table of the suite."""
    return _perform("competence", cfg)


def align(cfg: DictConfig) -> Any:
    """Scores of every pair of models."""
    return _perform("align", cfg)


def gallery(cfg: DictConfig) -> Any:
    """Scores of the same queries in growing galleries."""
    return _perform("gallery", cfg)


def translate(cfg: DictConfig) -> Any:
    """Maps between models."""
    return _perform("translate", cfg)


def plot(cfg: DictConfig) -> Any:
    """Figures from the scores on disk."""
    return _perform("plot", cfg)


def captions(cfg: DictConfig) -> Any:
    """A dataset whose captions are summaries."""
    return _perform("captions", cfg)


def reproduce(cfg: DictConfig) -> Any:
    """One figure of the paper with what it needs."""
    return _perform("reproduce", cfg)


def report(cfg: DictConfig) -> Any:
    """The page of the run."""
    return _perform("report", cfg)


def simulate(cfg: DictConfig) -> Any:
    """Experiments on worlds whose answer is known."""
    return _perform("simulate", cfg)


def ls(cfg: DictConfig) -> Any:
    """Lists of what there is to choose from."""
    return _perform("ls", cfg)


def doctor(cfg: DictConfig) -> Any:
    """What would run here, and what would stop it."""
    return _perform("doctor", cfg)
