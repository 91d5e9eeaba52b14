"""The origin of a result: versions, source revision, machine, time."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any


LIBRARIES = (
    "torch", "torchvision", "transformers", "timm", "open_clip_torch", "datasets", "safetensors", "numpy", "pandas",
    "pillow", "resvg-py",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Installed versions of platorep and of the libraries that features depend on; absent libraries are left out."""
    installed = {"python": platform.python_version()}
    for name in ("platorep", *LIBRARIES):
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


@cache
def source_revision() -> str | None:
    """Commit of the checkout that platorep runs from, followed by "+dirty" if modified; None for a wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def provenance(**more: Any) -> dict[str, Any]:
    """JSON values that record how a file was created: time (UTC), versions, source revision, machine, and `more`."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "source_revision": source_revision(),
        "machine": f"{platform.system()} {platform.machine()}",
        **more,
    }
