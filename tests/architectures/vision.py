"""The pages of docs/models on timm, open_clip and the vision models of transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.architectures import clip_models, timm_models, transformers_models
from tests.architectures.rows import Row, table


DOCS = Path(__file__).parents[2] / "docs" / "models"

COLUMNS = """\
Small networks with random weights, built from the architecture's own code, are run by platorep and by the library.
*Pool* is what `pool: auto` becomes: the class token where one goes through every layer, else the mean over patches or
over space. *Read from* says whether hooks on the blocks give the layers, or what the library itself \
reports. *Difference
to the library* compares features with the library's own states, pooled by a few lines of \
plain code; *difference by batch*
compares a picture (or text) alone with the same one in a batch of three. Both are shares of a feature's length;
"none" is below {exact} and {rounding}. The same comparison runs once whenever a model is loaded.

This page is written by `python scripts/check_vision_architectures.py`.
"""

TIMM = """\
# timm's architectures

`source: timm`. One network or more of every module of timm, {count} in all, with {version}.

"""

CLIP = """\
# open_clip's towers

`source: open_clip`, `modality: vision` or `language`. Every kind of tower that open_clip builds, with {version}.

"""

TRANSFORMERS = """\
# Vision models of transformers

`source: transformers`, `modality: vision`. The model's own image processor prepares the pictures. Nothing here depends
on a list of architectures: the modules that put out the hidden states, the tokens that are \
no patches and the class token
among them are found in the outputs, so that other models work as well. The features are those of the blocks, before the
final norm; the embedding is no layer. With {version}.

"""


def rows(names: Iterator[str] | list[str], row: Callable[[str, Path], Row]) -> Iterator[Row]:
    """The rows of the named architectures, each with a folder of its own for its files."""
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            yield row(name, Path(folder) / "model")


def pages() -> Iterator[tuple[str, str]]:
    """File names and texts of the pages."""
    import open_clip
    import timm
    import transformers

    from tests.architectures.rows import EXACT, ROUNDING

    columns = COLUMNS.format(exact=f"{EXACT:g}", rounding=f"{ROUNDING:g}")
    networks = timm_models.NETWORKS
    head = TIMM.format(count=len(networks), version=f"timm {timm.__version__}")
    yield "timm.md", head + columns + "\n" + table(rows(list(networks), lambda name, _: timm_models.row(name)))
    towers = [*clip_models.PICTURE_TOWERS, *clip_models.TEXT_TOWERS]
    head = CLIP.format(version=f"open_clip {open_clip.__version__}")
    yield "open_clip.md", head + columns + "\n" + table(rows(towers, clip_models.row))
    head = TRANSFORMERS.format(version=f"transformers {transformers.__version__}")
    models = list(transformers_models.MODELS)
    yield "transformers_vision.md", head + columns + "\n" + table(rows(models, transformers_models.row))
