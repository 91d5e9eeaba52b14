"""The sources of an archive, in the order in which they are tried.

    put into downloads/ by hand  →  apt, in any accepted version  or  pip  →  the mirrors: upstream's own page by HTTPS

This module fetches archives and tells whether a source is available on this machine; `platorep.assets.cache` checks
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from platorep.assets.download import apt_version, archive_pattern, download_deb, download_wheel, pip_command
from platorep.assets.https import download_url, url_problem
from platorep.assets.sdist import download_sdist
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec


Watch = Callable[[], None]


@dataclass(frozen=True)
class Rung:
    """One source of an archive.

    Attributes:
        name: its name in messages.
        asset: the asset or mirror whose SHA-256 and members apply to the archive.
        bring: downloads the archive into a folder and returns its path; raises AssetError on failure.
        look: describes the archive without downloading it; raises AssetError if the source is not available.
    """

    name: str
    asset: AssetSpec
    bring: Callable[[Path, Watch], Path]
    look: Callable[[], str]


def rungs(asset: AssetSpec, downloads: Path) -> Iterator[Rung]:
    """The sources of an asset whose source is wheel, sdist, deb or url, and of its mirrors, in order.

    Args:
        asset: the wanted asset.
        downloads: the folder for files that the user downloads.
    """
    for candidate in (asset, *asset.mirrors):
        for path in _by_hand(candidate, downloads):
            yield Rung(str(path.parent), candidate, partial(_take, path), lambda: "put there by hand")
        if candidate.source == "deb":
            fetch, look = partial(_bring_deb, candidate), partial(apt_version, candidate.id, bool(candidate.contents))
            yield Rung("apt", candidate, fetch, look)
        elif candidate.source == "wheel":
            yield Rung("pip", candidate, partial(_bring_wheel, candidate), _pip_program)
        elif candidate.source == "sdist":
            yield Rung("the index of pip", candidate, partial(download_sdist, candidate.id), _pip_program)
        elif candidate.source == "url":
            yield Rung(candidate.id, candidate, partial(download_url, candidate.id), partial(_answers, candidate.id))
        else:
            raise SpecError(
                f"a mirror of {asset.id} has source {candidate.source!r}; expected wheel, sdist, deb or url."
            )


def _take(path: Path, folder: Path, watch: Watch) -> Path:
    return path


def _by_hand(asset: AssetSpec, downloads: Path) -> list[Path]:
    patterns = [archive_pattern(asset.source, asset.id)]
    if asset.contents:  # another version may be accepted
        patterns.append(archive_pattern(asset.source, asset.id.partition("=")[0]))
    return list(dict.fromkeys(path for pattern in patterns for path in sorted(downloads.glob(pattern))))


def _bring_deb(asset: AssetSpec, folder: Path, watch: Watch) -> Path:
    return download_deb(asset.id, folder, watch, any_version=bool(asset.contents))


def _bring_wheel(asset: AssetSpec, folder: Path, watch: Watch) -> Path:
    return download_wheel(asset.id, folder, watch)


def _pip_program() -> str:
    return " ".join(Path(word).name for word in pip_command())


def _answers(address: str) -> str:
    if problem := url_problem(address):
        raise AssetError(problem)
    return "answers"
