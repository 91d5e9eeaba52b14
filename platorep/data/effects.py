"""Sound effects with their names, from four free packages: Tux Paint's stamps, Wesnoth, Sonic Pi and sound-icons.

A caption is the stamp's English caption, or the name of the file in words. Files of Wesnoth whose names differ by a
number alone ("ogre-hit-1", "ogre-hit-2") are clips of one item. The category is the package. With
`options.packages=[stamps]`, the samples have the stamps' pictures as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from platorep.assets import fetch
from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import AssetSpec, DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, pin
from platorep.data.pictures import read_picture
from platorep.data.sounds import read_sound
from platorep.data.stamps import stamp_files


ASSETS = {
    "stamps": "tuxpaint-stamps-default",
    "wesnoth": "wesnoth-1.16-data",
    "sonic_pi": "sonic-pi-samples",
    "sound_icons": "sound-icons",
}
"""Debian packages by name."""


class _Effect(NamedTuple):
    name: str
    caption: str
    clips: list[Path]
    picture: Path | None = None


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All effects of the packages with distinct captions, package by package and by name.

    Raises:
        UnknownNameError: a package does not exist, or has no asset.
    """
    check_switches(spec, options=["packages"])
    packages = spec.options.get("packages", list(ASSETS))
    if not isinstance(packages, list) or not packages:
        raise SpecError(f"dataset.options.packages is {packages!r}; expected a list of {', '.join(ASSETS)}.")
    effects, known = [], set[str]()
    for package in packages:
        for effect in _READERS[_checked(package)](fetch(_asset(spec, package), progress=progress)):
            if effect.caption.lower() not in known:
                known.add(effect.caption.lower())
                picture = effect.picture if packages == ["stamps"] else None
                effects.append(
                    Pair(
                        f"{package}/{effect.name}",
                        [effect.caption],
                        package,
                        None if picture is None else [partial(read_picture, picture, square=True)],
                        sounds=[partial(read_sound, clip) for clip in effect.clips],
                    )
                )
    revision = "-".join((_asset(spec, package).sha256 or "local")[:12] for package in packages)
    return pin(spec, revision, "Leave dataset.revision open: the assets' SHA-256 pin it."), effects


def _checked(package: object) -> str:
    if package not in ASSETS:
        raise unknown_name("package of sound effects", str(package), ASSETS)
    return str(package)


def _asset(spec: DatasetSpec, package: str) -> AssetSpec:
    """The asset of a package: the one of its name, or the only one, for a copy in a folder."""
    for asset in spec.assets:
        if asset.id.partition("=")[0].rpartition("/")[2] == ASSETS[package]:
            return asset
    raise SpecError(f"dataset {spec.name!r} has no asset of {ASSETS[package]}. See configs/dataset/effects.yaml.")


def _of_stamps(folder: Path) -> Iterator[_Effect]:
    for name, text, picture in stamp_files(folder):
        caption = text.read_text(encoding="utf-8-sig", errors="replace").partition("\n")[0].strip()
        clip = next((file for ending in (".ogg", ".wav") if (file := text.with_suffix(ending)).is_file()), None)
        if clip is not None:
            yield _Effect(name, caption, [clip], picture)


def _of_wesnoth(folder: Path) -> Iterator[_Effect]:
    clips: dict[str, list[Path]] = {}
    for file in sorted(file for ending in ("ogg", "wav") for file in folder.rglob(f"sounds/**/*.{ending}")):
        clips.setdefault(_words(re.sub(r"-?\d+$", "", file.stem)), []).append(file)
    for caption in sorted(clips):
        yield _Effect(caption.replace(" ", "-"), caption, clips[caption])


def _of_files(folder: Path, pattern: str) -> Iterator[_Effect]:
    for file in sorted(folder.rglob(pattern)):
        yield _Effect(file.stem, _words(file.stem), [file])


def _words(name: str) -> str:
    """A file's name in words."""
    return re.sub(r"[-_]+", " ", name).strip()


_READERS: dict[str, Callable[[Path], Iterator[_Effect]]] = {
    "stamps": _of_stamps,
    "wesnoth": _of_wesnoth,
    "sonic_pi": partial(_of_files, pattern="samples/*.flac"),
    "sound_icons": partial(_of_files, pattern="*.wav"),
}
