"""The functions that Hydra calls, one per command, at module level so that launchers can send them to workers.

Each task logs its own failure and writes `status.json` to its run folder, because Hydra prints only one traceback in a
sweep, however many jobs fail.
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

from platorep.cli.commands import COMMANDS
from platorep.cli.refusals import resolved
from platorep.core.disk import disk_errors_of_the_system
from platorep.core.errors import DiskError, PlatorepError
from platorep.core.files import write_json
from platorep.core.interrupts import GO_ON, exit_code, terminable
from platorep.core.provenance import provenance
from platorep.core.resources import use_threads


log = logging.getLogger(__name__)


def _perform(command: str, cfg: DictConfig) -> Any:
    """Runs one command on the experiment that the configuration describes; a failure is logged and ends with code 1."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(hydra.overrides.task)  # as written, with each ${...}
    status: dict[str, Any] = {"task": command, "overrides": overrides, "provenance": provenance()}
    start = time.perf_counter()
    try:
        with terminable(), disk_errors_of_the_system():
            result, root = _body(command)(resolved(cfg), overrides)
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
            except DiskError as error:  # the error that ended the run is logged as well
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
    """Runs the command on the plain configuration and the overrides; returns its result and the root."""

    def body(cfg: dict[str, Any], words: list[str]) -> tuple[Any, Path]:
        from platorep.commands.configuration import experiment
        from platorep.commands.pairs import with_pairs_at_hand

        run = experiment(cfg, words)
        if (pairs := COMMANDS[command].pairs) != "unused":
            run = with_pairs_at_hand(run, fetching=pairs == "fetched")
        use_threads(run.resources.threads)
        function = getattr(import_module(f"platorep.commands.{command}"), command)
        return function(run, **_arguments(command, cfg)), run.root

    return body


def _arguments(command: str, cfg: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a command besides the experiment: settings that choose what it prints."""
    if command == "ls":
        from hydra.core.hydra_config import HydraConfig

        sources = HydraConfig.get().runtime.config_sources
        return {"listing": cfg["what"], "folders": [Path(s.path) for s in sources if s.schema == "file"]}
    if command == "neighbours":
        from platorep.commands.options import Neighbours

        return {"options": Neighbours(**cfg["neighbours"])}
    return {"as_json": cfg["json"]} if command == "doctor" else {}


def _task(command: str) -> Callable[[DictConfig], Any]:
    def task(cfg: DictConfig) -> Any:
        return _perform(command, cfg)

    task.__name__ = task.__qualname__ = command
    return task


for _command in COMMANDS:
    globals()[_command] = _task(_command)
