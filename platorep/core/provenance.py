"""Where a number came from: versions, source revision, machine, time."""

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
    """Installed versions of platorep and of the libraries that can change a feature; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in ("platorep", *LIBRARIES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def source_revision() -> str | None:
    """Commit of the checkout that platorep runs from, with "+dirty" after it; None for an installed wheel."""
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
    """A JSON-ready record of what made a file: time (UTC), versions, source revision, machine; plus `more`."""
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "source_revision": source_revision(),
        "machine": f"{platform.system()} {platform.machine()}",
        **more,
    }
