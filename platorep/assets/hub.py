"""The Hugging Face Hub: revisions resolved to commits, repositories at a commit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from platorep.core.errors import AssetError


RepoType = Literal["model", "dataset"]
OFFLINE_HELP = (
    "Check the connection and HF_HUB_OFFLINE; behind a mirror set HF_ENDPOINT; on a machine without the Hub fetch it elsewhere "
    "(`hf download`), copy that cache folder and set HF_HOME, or name a local folder."
)


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash already."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def resolve_revision(repo: str, revision: str | None = None, *, repo_type: RepoType = "model") -> str:
    """The commit that a branch, a tag or None (the main branch) stands for now.

    A commit is returned as it is, without a request. When the Hub cannot be reached, the commit in the local Hub cache
    stands in.

    Raises:
        AssetError: no such repository or revision, a gated repository, or no Hub and nothing in the cache.
    """
    if revision is not None and is_commit(revision):
        return revision
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        api = HfApi()
        info = (
            api.model_info(repo, revision=revision, timeout=20)
            if repo_type == "model"
            else api.dataset_info(repo, revision=revision, timeout=20)
        )
    except (*_hub_errors(), HFValidationError) as error:
        if _answered(error):
            raise _explain(repo, revision, repo_type, error) from error
        try:
            cached = snapshot_download(repo, repo_type=repo_type, revision=revision, local_files_only=True)
        except _hub_errors():
            raise _explain(repo, revision, repo_type, error) from error
        return Path(cached).name
    if not info.sha:
        raise AssetError(f"the Hub names no commit for {repo} at {revision or 'main'}. Give the commit as `revision`.")
    return info.sha


def snapshot(repo: str, commit: str, members: Sequence[str] = (), *, repo_type: RepoType = "model") -> Path:
    """The folder of a repository at a commit in the Hub's own cache; only the members (names or patterns) if any are named.

    Raises:
        AssetError: as `resolve_revision`.
    """
    from huggingface_hub import snapshot_download

    patterns = [p for m in members for p in (m, f"{m.rstrip('/')}/*")] or None
    try:
        return Path(snapshot_download(repo, repo_type=repo_type, revision=commit, allow_patterns=patterns))
    except _hub_errors() as error:
        raise _explain(repo, commit, repo_type, error) from error


def _hub_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client raises, whatever HTTP library is below it: that library's base error is the first base."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)))


def _answered(error: Exception) -> bool:
    """Whether the Hub itself said no, so that a cached copy must not stand in."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    return isinstance(error, HFValidationError) or (
        isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code < 500
    )


def _explain(repo: str, revision: str | None, repo_type: str, error: Exception) -> AssetError:
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    what = f"{repo_type} {repo!r} at revision {revision or 'main'!r}"
    if isinstance(error, GatedRepoError):
        return AssetError(
            f"{what} is gated. Accept its terms on its Hub page, then log in with `hf auth login` or set HF_TOKEN."
        )
    if isinstance(error, RevisionNotFoundError):
        return AssetError(
            f"{what}: the repository has no such revision. Look at its branches and tags, and set `revision`."
        )
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return AssetError(
            f"{what} is not on the Hub, or it is private and you are not logged in (`hf auth login`). Check the spelling: owner/name."
        )
    reason = str(error).partition("\n")[0][:200]
    return AssetError(f"{what} could not be had from the Hub ({type(error).__name__}: {reason}). {OFFLINE_HELP}")
