"""Downloads a source archive by its entry in the index of pip, without running anything that is in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from platorep.assets.download import last_lines, pip_command, run
from platorep.assets.https import download_url
from platorep.core.errors import AssetError


def download_sdist(requirement: str, folder: Path, watch: Callable[[], None]) -> Path:
    """Downloads the source archive of `NAME==VERSION`.

    `pip download` would run the archive's build to learn its dependencies. Therefore pip is only asked for the
    archive's address in the indexes that the user configured, and the file is fetched from there.

    Args:
        requirement: the name and version.
        folder: the folder to write to.
        watch: called a few times per second.

    Raises:
        AssetError: there is no pip, no index has the archive, or it cannot be fetched.
    """
    return download_url(sdist_address(requirement, folder, watch), folder, watch)


def sdist_address(requirement: str, folder: Path, watch: Callable[[], None]) -> str:
    """The address of a source archive by the links that pip finds in its indexes.

    Raises:
        AssetError: there is no pip, or no index has the archive.
    """
    name, _, version = requirement.partition("==")
    options = ["-vv", "--no-binary=:all:", "--no-input", "--disable-pip-version-check"]
    code, output = run([*pip_command(), "index", "versions", name, *options], folder, {"PIP_QUIET": "0"}, watch)
    project = re.sub(r"[-_.]+", "[-_.]+", name)
    links = re.findall(rf"https?://\S+/{project}-{re.escape(version)}\.(?:tar\.gz|zip)(?![\w.])", output, re.IGNORECASE)
    if not links:
        reason = "no index of pip has this source archive" if code == 0 else last_lines(output)
        raise AssetError(f"pip does not know where {requirement} is (exit {code}): {reason}")
    return links[0]
