"""Tux Paint's stamps with spoken captions: a picture, a caption in any language, and a voice that reads a caption.

A stamp's text holds its caption in about 65 languages, and beside it lie recordings of it in ten: NAME_desc_fr.ogg, and
NAME_desc.ogg for English. `options.language` is the language that is spoken, and `options.caption_language` that of the
captions. Of stamps whose spoken texts are the same, the first is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from platorep.assets import fetch
from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import read_picture
from platorep.data.sounds import read_sound
from platorep.data.stamps import caption_in, stamp_files


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All stamps with a recording in the language and a text of it, by path.

    The id of a pair is its path without suffix, its category is the folder. The revision is the SHA-256 of the package.

    Raises:
        UnknownNameError: no stamp is spoken in the language.
    """
    check_switches(spec, options=["language", "caption_language"])
    only_assets(spec, 1, "the Debian package")
    language, written = (_language(spec, option) for option in ("language", "caption_language"))
    folder = fetch(spec.assets[0], progress=progress)
    spoken, heard = [], set[str]()
    for name, text, picture in stamp_files(folder):
        voice = _recording(text, language)
        said = caption_in(text, language)
        if voice is None or not said or said in heard:
            continue
        heard.add(said)
        caption = caption_in(text, written)
        spoken.append(
            Pair(
                name,
                [caption] if caption else [],
                name.rpartition("/")[0],
                [partial(read_picture, picture, square=True)],
                sounds=[partial(read_sound, voice)],
            )
        )
    if not spoken:
        raise unknown_name("spoken language of the stamps", language, _languages(folder))
    revision = (spec.assets[0].sha256 or "local")[:12]
    return pin(spec, revision, "Leave dataset.revision open: the asset's SHA-256 pins it."), spoken


def _language(spec: DatasetSpec, option: str) -> str:
    language = spec.options.get(option, "en")
    if not isinstance(language, str) or not language:
        raise SpecError(f"dataset.options.{option} is {language!r}; expected a language such as fr.")
    return language


def _recording(text: Path, language: str) -> Path | None:
    """The file of a stamp's spoken caption in a language, if there is one."""
    ending = "_desc" if language == "en" else f"_desc_{language}"
    files = (text.with_name(f"{text.stem}{ending}{suffix}") for suffix in (".ogg", ".wav"))
    return next((file for file in files if file.is_file()), None)


def _languages(folder: Path) -> list[str]:
    """The languages with recordings."""
    endings = {file.stem.partition("_desc")[2] for file in folder.rglob("*_desc*.ogg")}
    return sorted({ending.removeprefix("_") or "en" for ending in endings})
