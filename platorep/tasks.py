"""One function a command: the only code that sees a DictConfig. It builds specs, calls the engines, and reports.

Every task logs its own failure and leaves `status.json` in its run folder, because in a sweep Hydra prints one
traceback however many jobs fail.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from platorep import pipeline, stages
from platorep.core.errors import PlatorepError
from platorep.core.files import write_json
from platorep.core.provenance import provenance


log = logging.getLogger(__name__)

FETCHING = ("run", "extract", "captions", "reproduce")
"""Commands that may fetch pairs; the others take what these have stored."""

WITHOUT_PAIRS = ("simulate", "ls", "doctor")


def _task(body: Callable[[dict[str, Any], Any], Any]) -> Callable[[DictConfig], Any]:
    """Wraps a stage: plain configuration in, failure logged, status.json written, exit code 1."""

    @functools.wraps(body)
    def task(cfg: DictConfig) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra = HydraConfig.get()
        sweep = hydra.mode == RunMode.MULTIRUN
        folder = Path(hydra.runtime.output_dir)
        status: dict[str, Any] = {
            "task": body.__name__,
            "overrides": list(hydra.overrides.task),
            "provenance": provenance(),
        }
        start = time.perf_counter()
        try:
            plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
            if body.__name__ not in WITHOUT_PAIRS:
                plain = pipeline.settle_dataset(plain, Path(plain["root"]), fetching=body.__name__ in FETCHING)
            result = body(plain, pipeline.Settings.from_config(plain))
            status |= {"status": "ok"}
            return result
        except PlatorepError as error:
            status |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
            log.error("%s: %s", body.__name__, error)
            if sweep:
                raise
            sys.exit(1)
        except KeyboardInterrupt:
            status |= {"status": "interrupted"}
            raise
        except Exception as error:
            status |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
            log.exception("%s failed", body.__name__)
            if sweep:
                raise
            sys.exit(1)
        finally:
            if hydra.output_subdir is not None:  # commands that only look leave nothing behind
                status["seconds"] = round(time.perf_counter() - start, 3)
                write_json(folder / "status.json", status)

    # Hydra calls the wrapper with a DictConfig; the body's own signature must not show through
    del task.__wrapped__  # type: ignore[attr-defined]
    return task


@_task
def run(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Extract, competence, align, plot."""
    failed = stages.extract_models(cfg, settings)
    stages.measure_competence(cfg, settings)
    stages.align_models(cfg, settings)
    stages.draw_figures(cfg, settings)
    stages.raise_failures(failed)


@_task
def extract(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Features of every model of the suite."""
    stages.raise_failures(stages.extract_models(cfg, settings))


@_task
def competence(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """The competence table of the suite."""
    from platorep import measuring

    _, failed = measuring.measure_competence(cfg, settings)
    stages.raise_failures(failed)


@_task
def align(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Scores of every pair of models."""
    stages.align_models(cfg, settings)


@_task
def gallery(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Scores of the same queries in growing galleries."""
    from platorep import galleries

    galleries.search_galleries(cfg, settings)


@_task
def plot(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Figures from the scores on disk."""
    stages.draw_figures(cfg, settings)


@_task
def captions(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """A dataset whose captions are summaries."""
    stages.summarise_captions(cfg, settings)


@_task
def reproduce(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """One figure of the paper with what it needs."""
    from platorep import reproduce as experiments

    experiments.reproduce(cfg, settings)


@_task
def report(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """The page of the run."""
    from hydra.core.hydra_config import HydraConfig

    stages.write_report(cfg, settings, HydraConfig.get().overrides.task)


@_task
def simulate(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Experiments on worlds whose answer is known."""
    stages.simulate(cfg, settings)


@_task
def ls(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """Lists of what there is to choose from."""
    from platorep import listing

    listing.show(cfg["what"], cfg, settings)


@_task
def doctor(cfg: dict[str, Any], settings: pipeline.Settings) -> None:
    """What would run here, and what would stop it."""
    from platorep import doctor as examination

    examination.examine(cfg, settings, as_json=cfg["json"])
