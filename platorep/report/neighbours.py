"""The page of `platorep neighbours`: a query and its nearest samples, models side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from platorep.align.queries import Nearby
from platorep.core.files import write_atomically
from platorep.core.samples import Samples
from platorep.core.version import __version__
from platorep.extract.queries import Query
from platorep.report.page import asset, environment, source_hash
from platorep.report.payload import thumbnail


class Column(NamedTuple):
    """The list of one model: its name, the layer in words, and the samples."""

    model: str
    layer: str
    nearby: Nearby


@dataclass(frozen=True)
class NearestPage:
    """The content of the page.

    Args:
        query: text or picture.
        dataset: name of the dataset.
        samples: ids, captions and categories of the rows.
        picture: decodes the picture of a row.
        columns: one per model.
    """

    query: Query
    dataset: str
    samples: Samples
    picture: Callable[[int], Image.Image]
    columns: Sequence[Column]


def write_neighbours(page: NearestPage, path: Path) -> Path:
    """Writes one self-contained HTML file without a script; the same inputs give the same bytes."""
    rows = {row for column in page.columns for row in column.nearby.rows}
    style = asset("page.css")
    text = (
        environment()
        .get_template("neighbours.html.j2")
        .render(
            page=page,
            version=__version__,
            captions={row: page.samples.captions[row][0] for row in rows},
            pictures={row: thumbnail(page.picture(row)) for row in sorted(rows)},
            shown=None if page.query.image is None else thumbnail(page.query.image),
            counts=Counter(row for column in page.columns for row in column.nearby.rows),
            style=style,
            style_hash=source_hash(style),
        )
    )
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))
    return path
