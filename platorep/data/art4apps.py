"""Word drawings: Art4Apps' pictures of single words in one style, from the Debian package of pySioGame.

Every word occurs once, so captions share no words, and a model of words alone has nothing to go by.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from platorep.assets import fetch
from platorep.core.errors import DataError
from platorep.core.specs import DatasetSpec
from platorep.data.pair import Pair, Report, check_switches, only_assets, pin
from platorep.data.pictures import read_picture


FOLDER = "art4apps"


def pairs(spec: DatasetSpec, progress: Report | None = None) -> tuple[DatasetSpec, Sequence[Pair]]:
    """All drawings with distinct words, by category and word.

    A pair's id is its path without suffix ("animals/owl"), its caption the word or words ("polar bear"), its category
    the folder.

    Raises:
        DataError: the asset holds no such folder.
    """
    check_switches(spec)
    only_assets(spec, 1, "the Debian package")
    folder = fetch(spec.assets[0], progress=progress)
    root = next((path for path in sorted(folder.rglob(FOLDER)) if path.is_dir()), None)
    if root is None:
        raise DataError(f"{folder} holds no folder {FOLDER}: it is not pySioGame's package.")
    drawings, known = [], set[str]()
    for file in sorted(root.glob("*/*.jpg"), key=lambda file: file.relative_to(root).as_posix()):
        word = file.stem.replace("_", " ").strip()
        if word.lower() not in known:
            known.add(word.lower())
            name = file.relative_to(root).with_suffix("").as_posix()
            drawings.append(Pair(name, [word], file.parent.name, [partial(read_picture, file, square=True)]))
    revision = (spec.assets[0].sha256 or "local")[:12]
    return pin(spec, revision, "Leave dataset.revision open: the asset's SHA-256 pins it."), drawings
