"""Tux Paint's stamps: photographs and drawings of single things, each with one line of English.

The pictures and their texts come from the Debian package tuxpaint-stamps-default. `symbols/` is left out: its letters
and digits would match by shape. Where a stamp is there both as PNG and as SVG, the PNG is taken; mirrored and flipped
variants have no text of their own and are not samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from platorep.assets import fetch
from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import read_picture


FOLDER = "usr/share/tuxpaint/stamps"
LEFT_OUT = "symbols"


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All stamps with a text, by path.

    A pair's id is its path without ending ("animals/birds/lark"), its category the path's folder, its caption the
    text's first line (later lines are translations), its picture on a white square.
    """
    check_switches(spec)
    only_assets(spec, 1, "the Debian package")
    root = fetch(spec.assets[0], progress=progress) / FOLDER
    if not root.is_dir():
        raise DataError(f"{spec.assets[0].id} holds no folder {FOLDER}: it is not a package of Tux Paint's stamps.")
    found = []
    for text in sorted(root.rglob("*.txt"), key=lambda path: path.relative_to(root).with_suffix("").as_posix()):
        name = text.relative_to(root).with_suffix("")
        picture = next((file for ending in (".png", ".svg") if (file := text.with_suffix(ending)).is_file()), None)
        if picture is None or name.parts[0] == LEFT_OUT:
            continue
        caption = text.read_text(encoding="utf-8-sig", errors="replace").partition("\n")[0].strip()
        found.append(
            Pair(name.as_posix(), [caption], name.parent.as_posix(), [partial(read_picture, picture, square=True)])
        )
    return pin(
        spec, (spec.assets[0].sha256 or "")[:12], "Leave dataset.revision open: the asset's SHA-256 pins it."
    ), found
