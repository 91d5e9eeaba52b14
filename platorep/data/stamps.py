"""Tux Paint's stamps: photographs and drawings of single objects, each with one line of English.

The pictures and texts come from the Debian package tuxpaint-stamps-default, or from Tux Paint's release of the stamps.
`symbols/` is left out, because letters and digits would match by shape. If a stamp exists as PNG and as SVG, the PNG is
used. Mirrored and flipped variants have no text and are not samples.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from platorep.assets import fetch, origin
from platorep.core.errors import AssetError, DataError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import decode_picture, read_picture


log = logging.getLogger(__name__)

FOLDERS = ("usr/share/tuxpaint/stamps", "*/stamps")
"""Folders of the stamps in the package and in the release."""

LEFT_OUT = "symbols"

ENGLISH = "en"
"""The language of a text's first line."""


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All stamps with a text, by path.

    The id of a pair is its path without suffix ("animals/birds/lark"), its category is the folder, and its caption is
    the first line of the text, or the translation into `options.language` in a later line; of several languages, a
    stamp has a caption in each, and those that lack one are left out. The picture is padded to a
    white square. The revision is the SHA-256 of the package for the pinned version, and the hash of the pairs for other
    accepted versions.
    """
    check_switches(spec, options=["language"])
    wanted = spec.options.get("language", ENGLISH)
    languages = [str(language) for language in wanted] if isinstance(wanted, (list, tuple)) else [str(wanted)]
    only_assets(spec, 1, "the Debian package")
    asset = spec.assets[0]
    own, own_revision = next(iter(asset.contents), None), (asset.sha256 or "")[:12]
    if own is not None and spec.revision == own_revision:  # no other version is accepted
        asset = asset.replace(contents={own: asset.contents[own]})
    folder = fetch(asset, progress=progress, digest=digest)
    version = origin(folder).version
    revision = own_revision if version in (None, own) else asset.contents[version][:12]
    if revision != own_revision:
        log.warning(
            "%s: these are the pairs of version %s (revision %s), not of %s: scores are not those of the documentation",
            spec.name,
            version,
            revision,
            own,
        )
    stamp_pairs = [
        Pair(name, captions, name.rpartition("/")[0], [partial(read_picture, picture, square=True)])
        for name, text, picture in stamp_files(folder)
        if (captions := [caption_in(text, language) for language in languages])
        and all(caption or language == ENGLISH for caption, language in zip(captions, languages, strict=True))
    ]
    if not stamp_pairs:
        known = _languages(folder)
        unknown = next((language for language in languages if language not in (ENGLISH, *known)), str(wanted))
        raise unknown_name("language of the stamps' captions", unknown, known)
    return pin(spec, revision, "Leave dataset.revision open: the asset's SHA-256 pins it."), stamp_pairs


def digest(folder: Path) -> str:
    """SHA-256 over the pairs of an unpacked package or release: names, captions, and pixels (of drawings, bytes).

    It does not depend on compression, time stamps and translations, in which package and release differ.
    """
    whole = hashlib.sha256()
    try:
        for name, text, picture in stamp_files(folder):
            caption = caption_in(text)
            raw = picture.read_bytes()
            if picture.suffix == ".png":
                image = decode_picture(raw)
                raw = repr(image.size).encode() + image.tobytes()
            whole.update(f"{name}\t{caption}\t{hashlib.sha256(raw).hexdigest()}\n".encode())
    except DataError as error:
        raise AssetError(f"it holds no stamps that can be read: {error}") from error
    return whole.hexdigest()


def stamp_files(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """Name, file of the text, and file of the picture of every stamp, by name.

    Raises:
        DataError: the folder holds no stamps.
    """
    root = next((path for pattern in FOLDERS for path in sorted(folder.glob(pattern)) if path.is_dir()), None)
    if root is None:
        raise DataError(f"{folder} holds no folder {' or '.join(FOLDERS)}: it is not a package of Tux Paint's stamps.")
    for text in sorted(root.rglob("*.txt"), key=lambda path: path.relative_to(root).with_suffix("").as_posix()):
        name = text.relative_to(root).with_suffix("")
        picture = next((file for ending in (".png", ".svg") if (file := text.with_suffix(ending)).is_file()), None)
        if picture is not None and name.parts[0] != LEFT_OUT:
            yield name.as_posix(), text, picture


def caption_in(text: Path, language: str = ENGLISH) -> str:
    """The caption of a stamp in a language: the first line for English, else the line LANGUAGE.utf8=; may be empty."""
    lines = text.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    if language == ENGLISH:
        return lines[0].strip()
    prefix = f"{language}.utf8="
    return next((line.removeprefix(prefix).strip() for line in lines[1:] if line.startswith(prefix)), "")


def _languages(folder: Path) -> list[str]:
    """The languages of the translations."""
    found = set()
    for _, text, _ in stamp_files(folder):
        lines = text.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        found |= {line.partition(".utf8=")[0] for line in lines[1:] if ".utf8=" in line}
    return sorted(found)
