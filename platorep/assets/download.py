"""Brings a wheel or a Debian package into a folder, by the user's own pip or apt."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from platorep.core.errors import AssetError


Watch = Callable[[], None]
"""Called a few times a second while a download runs."""


def download_wheel(requirement: str, folder: Path, watch: Watch) -> Path:
    """Downloads the wheel of `NAME==VERSION` with pip, without its dependencies; nothing is built, installed or run.

    Raises:
        AssetError: there is no pip, or pip could not find or fetch the wheel.
    """
    command = [
        *_pip(),
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--dest",
        str(folder),
        requirement,
    ]
    # pip's own temporary files go to the same folder, so that its size shows how far the download is
    code, said = _run(command, folder, {"TMPDIR": str(folder)}, watch)
    found = sorted(folder.glob("*.whl"))
    if code != 0 or len(found) != 1:
        raise AssetError(
            f"pip could not download {requirement} (exit {code}): {_last_lines(said)}\n"
            f"Check the connection and pip's index. Or get the wheel elsewhere and {by_hand(folder)}"
        )
    return found[0]


def download_deb(package: str, folder: Path, watch: Watch) -> Path:
    """Downloads `NAME=VERSION` with apt, as any user; where the package lists are empty, fresh ones are read into `folder`.

    Raises:
        AssetError: there is no apt, or apt does not know the version or could not fetch it.
    """
    if shutil.which("apt-get") is None:
        raise AssetError(
            f"{package} comes from Debian's packages, and there is no apt-get here. "
            f"Download {_deb_name(package)} by hand and {by_hand(folder)}"
        )
    # root's apt-get would download as the user _apt, who cannot write to our folder
    command = ["apt-get", "-o", "APT::Sandbox::User=root"]
    code, said = _run([*command, "download", package], folder, {}, watch)
    if "Unable to locate package" in said or "was not found" in said:
        lists, cache = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True)
        (cache / "archives" / "partial").mkdir(parents=True)
        command += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
        code, said_update = _run([*command, "update"], folder, {}, watch)
        code, said = _run([*command, "download", package], folder, {}, watch)
        said = said if code == 0 else f"{said_update}\n{said}"
    found = sorted(folder.glob("*.deb"))
    if code != 0 or len(found) != 1:
        raise AssetError(
            f"apt-get could not download {package} (exit {code}): {_last_lines(said)}\n"
            f"Run `apt-get update`, and see with `apt-cache policy {package.partition('=')[0]}` whether this distribution has it. "
            f"Or download {_deb_name(package)} by hand and {by_hand(folder)}"
        )
    return found[0]


def by_hand(folder: Path) -> str:
    """What to do with a file that was downloaded by hand; `folder` is a temporary folder in the cache."""
    return f"put it into {folder.parent / 'downloads'}; it is found there by its name and checked against its SHA-256."


def archive_pattern(source: str, identifier: str) -> str:
    """Glob of the file names under which a wheel or a Debian package is downloaded."""
    if source == "deb":
        return _deb_name(identifier)
    name, _, version = identifier.partition("==")
    return f"{re.sub(r'[-_.]+', '_', name.strip())}-{version.strip() or '*'}-*.whl"


def _deb_name(package: str) -> str:
    name, _, version = package.partition("=")
    return f"{name}_{version.replace(':', '%3a') or '*'}_*.deb"


def _pip() -> list[str]:
    """The command line of a pip: this Python's own, else any on the path; environments made by uv have none of their own."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if (found := shutil.which(name)) is not None:
            return [found]
    raise AssetError(
        f"wheels are fetched with pip, and there is none: install it with `{sys.executable} -m ensurepip` or `uv pip install pip`."
    )


def _run(command: Sequence[str], folder: Path, environment: dict[str, str], watch: Watch) -> tuple[int, str]:
    """Exit status and output of a command run in `folder`."""
    with open(folder / "output.log", "w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C", **environment},
        ) as process:
            while True:
                try:
                    process.wait(timeout=0.3)
                    break
                except subprocess.TimeoutExpired:
                    watch()
        log.seek(0)
        return process.returncode, log.read()


def _last_lines(text: str, count: int = 4) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing"
