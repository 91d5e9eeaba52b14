"""Removes the downloaded weights of a model after use, for suites that are larger than the disk."""

from __future__ import annotations

import logging
import shutil

from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.sources import source_of


log = logging.getLogger(__name__)


def evict(spec: ModelSpec) -> None:
    """Removes the fetched files of a resolved spec: an asset in the cache, or a revision in the Hub's cache.

    Local paths belong to the user and are kept. Missing files are ignored.
    """
    if spec.asset is not None:
        _evict_asset(spec.asset, str(spec.revision))
    elif spec.weights == "pretrained" and source_of(spec).repository(spec) is not None:
        _evict_from_hub_cache(str(spec.revision))


def _evict_asset(asset: AssetSpec, revision: str) -> None:
    from platorep.assets import cache_dir, cached

    for part in (asset, *asset.parts):
        if part.source in ("wheel", "sdist", "deb", "url", "parts") and (folder := cached(part)) is not None:
            log.info("removing %s", folder)
            shutil.rmtree(folder)
    shutil.rmtree(cache_dir() / "dequantized" / revision[:16], ignore_errors=True)


def _evict_from_hub_cache(commit: str) -> None:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return
    if any(revision.commit_hash == commit for repo in cache.repos for revision in repo.revisions):
        strategy = cache.delete_revisions(commit)
        log.info("removing %s of the Hub's cache (revision %s)", strategy.expected_freed_size_str, commit[:12])
        strategy.execute()
