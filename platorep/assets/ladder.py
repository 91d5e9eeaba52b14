"""The ways to an archive, in the order in which they are tried.

    put into downloads/ by hand  →  apt, in any accepted version  or  pip  →  the mirrors: upstream's own page by HTTPS

What a way brings is checked in one place (`platorep.assets.cache`); here is only how it is brought, and whether it is
open on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from platorep.assets.download import apt_version, archive_pattern, download_deb, download_wheel, pip_command
from platorep.assets.https import download_url, url_problem
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import AssetSpec


Watch = Callable[[], None]


@dataclass(frozen=True)
class Rung:
    """One way to an archive.

    Attributes:
        name: what it is called in messages.
        asset: the asset or the mirror whose SHA-256 and members hold for what it brings.
        bring: downloads the archive into a folder and returns its path; raises AssetError when it cannot.
        look: says without a download what would be brought; raises AssetError when the way is closed.
    """

    name: str
    asset: AssetSpec
    bring: Callable[[Path, Watch], Path]
    look: Callable[[], str]


def rungs(asset: AssetSpec, downloads: Path) -> Iterator[Rung]:
    """The ways to an asset whose source is wheel, deb or url, and to its mirrors, in order.

    Args:
        asset: what is wanted.
        downloads: the folder of files that were put there by hand.
    """
    for one in (asset, *asset.mirrors):
        for path in _by_hand(one, downloads):
            yield Rung(str(path.parent), one, partial(_take, path), lambda: "put there by hand")
        if one.source == "deb":
            fetch, look = partial(_bring_deb, one), partial(apt_version, one.id, bool(one.contents))
            yield Rung("apt", one, fetch, look)
        elif one.source == "wheel":
            yield Rung("pip", one, partial(_bring_wheel, one), _pip_program)
        elif one.source == "url":
            yield Rung(one.id, one, partial(download_url, one.id), partial(_answers, one.id))
        else:
            raise SpecError(f"a mirror of {asset.id} has source {one.source!r}; expected wheel, deb or url.")


def _take(path: Path, folder: Path, watch: Watch) -> Path:
    return path


def _by_hand(asset: AssetSpec, downloads: Path) -> list[Path]:
    patterns = [archive_pattern(asset.source, asset.id)]
    if asset.contents:  # another version may do
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
