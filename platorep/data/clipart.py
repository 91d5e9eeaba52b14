"""Clip art of the Open Clip Art Library with the titles and keywords of its authors, from two Debian packages.

The picture is the rendered PNG, the words are in the SVG of the same path. Shapes, pieces of user interfaces and signs
are left out, because their titles do not say what they show, and so are PNGs of more than `MAX_PIXELS`, some of which
have hundreds of megapixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from platorep.assets import fetch
from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import read_picture


LEFT_OUT = ("shapes", "computer", "signs_and_symbols")
"""Folders that are left out."""

MAX_PIXELS = 8_000_000

MEANINGLESS = "unsorted"
"""A keyword that says nothing."""

RDF, DC = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{http://purl.org/dc/elements/1.1/}"


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All clip art with distinct titles, by path; of pictures with one title the first is taken.

    A pair's id is its path without suffix, its caption the title and the keywords ("Lemon (Whole): food, lemon,
    fruit"), its category the uppermost folder.

    Raises:
        DataError: the assets hold no clip art.
    """
    check_switches(spec)
    only_assets(spec, 2, "the Debian package of pictures, then that of drawings")
    pictures, drawings = (
        _root(fetch(asset, progress=progress), kind) for asset, kind in zip(spec.assets, ("png", "svg"), strict=True)
    )
    clips, known = [], set[str]()
    for name, picture, drawing in _files(pictures, drawings):
        title, keywords = words(drawing)
        if not title or title.lower() in known:
            continue
        known.add(title.lower())
        caption = f"{title}: {', '.join(keywords)}" if keywords else title
        clips.append(Pair(name, [caption], name.partition("/")[0], [partial(read_picture, picture, square=True)]))
    revision = "-".join((asset.sha256 or "local")[:12] for asset in spec.assets)
    return pin(spec, revision, "Leave dataset.revision open: the assets' SHA-256 pin it."), clips


def words(drawing: Path) -> tuple[str, list[str]]:
    """Title and keywords in the metadata of a drawing; empty where it has none or is no XML."""
    try:
        root = ElementTree.parse(drawing).getroot()
    except ElementTree.ParseError:
        return "", []
    work = next((element for element in root.iter() if element.tag.endswith("}Work")), None)
    if work is None:
        return "", []
    keywords = [(item.text or "").strip() for item in work.findall(f"{DC}subject/{RDF}Bag/{RDF}li")]
    kept = [word for word in dict.fromkeys(keywords) if word and word != MEANINGLESS]
    return " ".join((work.findtext(f"{DC}title") or "").split()), kept


def _root(folder: Path, kind: str) -> Path:
    root = next((path for path in sorted(folder.rglob(kind)) if path.is_dir()), None)
    if root is None:
        raise DataError(f"{folder} holds no folder {kind}: it is not the package openclipart-{kind}.")
    return root


def _files(pictures: Path, drawings: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, picture and drawing of all clip art that is not left out, by name."""
    for drawing in sorted(drawings.rglob("*.svg"), key=lambda path: path.relative_to(drawings).as_posix()):
        name = drawing.relative_to(drawings).with_suffix("").as_posix()
        picture = pictures / f"{name}.png"
        if name.partition("/")[0] not in LEFT_OUT and picture.is_file() and _pixels(picture) <= MAX_PIXELS:
            yield name, picture, drawing


def _pixels(picture: Path) -> int:
    """Size of a PNG by its header; 0 for other files, whose fault decoding tells."""
    with open(picture, "rb") as file:
        header = file.read(24)
    if len(header) < 24 or header[12:16] != b"IHDR":
        return 0
    width, height = struct.unpack(">II", header[16:])
    return int(width * height)
