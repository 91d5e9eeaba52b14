"""`platorep report`: one HTML page of a run."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from platorep.commands.brains import stored_brains
from platorep.commands.experiment import Experiment
from platorep.commands.extract import open_pairs
from platorep.commands.stored import NotRunError
from platorep.commands.translate import stored_translation
from platorep.commands.units import stored_units
from platorep.core.disk import disk_errors
from platorep.core.files import link_latest, slug
from platorep.core.progress import bar


log = logging.getLogger(__name__)

T = TypeVar("T")

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""The last chunk of every PNG file."""


def report(experiment: Experiment) -> Path:
    """Writes the page of a run from the results on disk.

    Returns:
        The HTML file.
    """
    from platorep.report import Run, write_page

    features, alignment, pairs = experiment.features, experiment.alignment, open_pairs(experiment)
    extracted = {model.name for model in features}
    figures = whole_figures(experiment.root / "figures" / experiment.label)
    page = experiment.root / "report" / f"{experiment.label}.html"
    run = Run(
        name=experiment.name,
        suite=experiment.suite,
        dataset=pairs.spec,
        samples=pairs.samples,
        picture=pairs.picture,
        sound=pairs.sound,
        features=features,
        metrics=experiment.metrics,
        alignment=alignment,
        selection=experiment.selection,
        competence=experiment.competence,
        translation=_if_any(stored_translation, experiment),
        figures=figures,
        missing=[model.name for model in experiment.models if model.name not in extracted],
        words=experiment.words,
        configuration=experiment.configuration,
        select=experiment.protocol.select,
        clamp=experiment.clamp,
        memory=experiment.resources.memory,
        units=_if_any(stored_units, experiment) if _rows_are_samples(experiment) else None,
        brains=_if_any(stored_brains, experiment),
    )
    with bar("Reading layers") as progress:
        write_page(run, page, progress=progress)
    link_latest(page, page.with_name(f"{slug(experiment.name)}--latest.html"))
    return page


def _if_any(stored: Callable[[Experiment], T], experiment: Experiment) -> T | None:
    """The tables of a command for this configuration; None if the command has not run."""
    try:
        return stored(experiment)
    except NotRunError:
        return None


def _rows_are_samples(experiment: Experiment) -> bool:
    """Whether each row of the features is a sample, so that its picture can be shown beside a unit."""
    return all(model.n == len(experiment.samples.ids) for model in experiment.features)


def whole_figures(folder: Path) -> dict[str, Path]:
    """The figures of a folder by name. Those that are damaged, or hold another figure, are left out and named.

    Raises:
        DiskError: a figure cannot be read, or a folder has its name.
    """
    from PIL import Image

    figures = {}
    for path in sorted(folder.glob("*.png")):
        with disk_errors(path):
            content = path.read_bytes()
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
                title = picture.info.get("Title", path.stem)
                picture.verify()  # checks every chunk except the last, which is always the same
            if not content.endswith(PNG_END):
                raise OSError("its end is missing")
        except Exception as error:  # Pillow raises SyntaxError, ValueError and zlib's errors beside OSError
            log.warning("%s is damaged (%s). It is left out of the report; draw it again.", path, error)
            continue
        if title != path.stem:
            log.warning("%s holds the figure %s. It is left out of the report; draw it again.", path, title)
            continue
        figures[path.stem] = path
    return figures
