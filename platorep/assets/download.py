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
from urllib.parse import urlsplit

from platorep.core.errors import AssetError


Watch = Callable[[], None]
"""Called a few times a second while a download runs."""


# wheels ---------------------------------------------------------------------------------------------------------------


def download_wheel(requirement: str, folder: Path, watch: Watch) -> Path:
    """Downloads the wheel of `NAME==VERSION` with pip, without its dependencies; nothing is built, installed or run.

    Raises:
        AssetError: there is no pip, or pip could not find or fetch the wheel.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    # pip's own temporary files go to the same folder, so that its size shows how far the download is
    code, said = _run([*pip_command(), "download", *options, requirement], folder, {"TMPDIR": str(folder)}, watch)
    found = sorted(folder.glob("*.whl"))
    if code != 0 or len(found) != 1:
        raise AssetError(f"pip could not download {requirement} (exit {code}): {_last_lines(said)}")
    return found[0]


def pip_command() -> list[str]:
    """The command line of a pip: this Python's own, else one on the path, else one that uv brings.

    Raises:
        AssetError: there is none.
    """
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if (program := shutil.which(name)) is not None:
            return [program]
    if (uv := shutil.which("uv")) is not None:
        return [uv, "tool", "run", "--quiet", "pip"]
    raise AssetError(
        f"wheels are fetched with pip, and there is none: install it with `{sys.executable} -m ensurepip` or "
        "`uv pip install pip`."
    )


# Debian packages ------------------------------------------------------------------------------------------------------


def download_deb(package: str, folder: Path, watch: Watch, *, any_version: bool = False) -> Path:
    """Downloads `NAME=VERSION` with apt, as any user; package lists that lack it are read anew, into `folder`.

    Args:
        package: what to download.
        folder: where to write.
        watch: called while it comes.
        any_version: whether the version that apt would install will do where it does not know VERSION.

    Raises:
        AssetError: there is no apt, or apt does not know the package or could not fetch it.
    """
    if shutil.which("apt-get") is None:
        raise AssetError("there is no apt-get here")
    # root's apt-get would download as the user _apt, who cannot write to our folder
    command = ["apt-get", "-o", "APT::Sandbox::User=root"]
    names = [package, package.partition("=")[0]] if any_version else [package]
    code, said = _download_first(command, names, folder, watch)
    if code != 0 and _out_of_date(said):
        lists, cache = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True)
        (cache / "archives" / "partial").mkdir(parents=True)
        command += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
        code, said_update = _run([*command, "update"], folder, {}, watch)
        code, said = _download_first(command, names, folder, watch)
        said = said if code == 0 else f"{said_update}\n{said}"
    found = sorted(folder.glob("*.deb"))
    if code != 0 or len(found) != 1:
        raise AssetError(f"apt-get could not download {package} (exit {code}): {_last_lines(said)}")
    return found[0]


def _download_first(command: Sequence[str], names: Sequence[str], folder: Path, watch: Watch) -> tuple[int, str]:
    """Asks apt-get for one name after the other until it knows one."""
    code, said = 1, ""
    for name in names:
        code, said = _run([*command, "download", name], folder, {}, watch)
        if code == 0:
            break
    return code, said


def _out_of_date(said: str) -> bool:
    """Whether fresh package lists may help: apt knows no such package or version, or its address of it is gone."""
    return any(words in said for words in ("Unable to locate package", "was not found", "404"))


def apt_version(package: str, any_version: bool) -> str:
    """Which version of `NAME=VERSION` apt would bring, by its lists on this machine.

    Raises:
        AssetError: there is no apt, or it knows other versions only and `any_version` is False.
    """
    if shutil.which("apt-get") is None or shutil.which("apt-cache") is None:
        raise AssetError("there is no apt-get here")
    name, _, version = package.partition("=")
    said = subprocess.run(
        ["apt-cache", "madison", name], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    known = [line.split("|")[1].strip() for line in said.splitlines() if line.count("|") >= 2]
    if not known:
        return "not in apt's lists here; they are read anew when it is fetched"
    if version in known:
        return version
    if not any_version:
        raise AssetError(f"apt has {', '.join(dict.fromkeys(known))} of {name}, not {version}")
    return f"{known[0]} instead of {version}, to be checked when it is fetched"


# names, and running ---------------------------------------------------------------------------------------------------


def archive_pattern(source: str, identifier: str) -> str:
    """Glob of the file names under which a wheel, a Debian package or an address's file is downloaded."""
    if source == "deb":
        name, _, version = identifier.partition("=")
        return f"{name}_{version.replace(':', '%3a') or '*'}_*.deb"
    if source == "url":
        return urlsplit(identifier).path.rstrip("/").rpartition("/")[2] or "archive"
    name, _, version = identifier.partition("==")
    return f"{re.sub(r'[-_.]+', '_', name.strip())}-{version.strip() or '*'}-*.whl"


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
