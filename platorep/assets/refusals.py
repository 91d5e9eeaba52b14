"""Converts errors of the Hub's client to messages with a remedy."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from platorep.assets.patience import BUSY, TRIES, first_line
from platorep.core.errors import AssetError


if TYPE_CHECKING:
    from huggingface_hub.errors import GatedRepoError


def refusal(repo: str, revision: str | None, repo_type: str, error: BaseException) -> AssetError:
    """The error to raise for a repository that could not be fetched.

    Args:
        repo: owner/name.
        revision: the requested revision.
        repo_type: "model" or "dataset".
        error: the error of the Hub's client; its causes are examined, too.
    """
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    place = f"{repo_type} {repo!r} at revision {revision or 'main'!r}"
    for cause in _causes(error):
        if isinstance(cause, AssetError):
            return AssetError(f"{place}: {cause}")
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return AssetError(
                f"{place} does not fit on the disk of the Hub's cache ({cache_folder()}). Make room, set HF_HOME to a "
                "folder "
                "on a larger disk, or set evict=true to keep one model at a time."
            )
        if isinstance(cause, OfflineModeIsEnabled):
            return AssetError(
                f"{place} is not in the cache ({cache_folder()}), and HF_HUB_OFFLINE keeps it from being fetched. "
                f"Unset HF_HUB_OFFLINE once, or {elsewhere(repo, repo_type)}"
            )
        if isinstance(cause, GatedRepoError):
            return AssetError(f"{place} is gated. {_gate(repo, repo_type, cause)}")
        if isinstance(cause, RevisionNotFoundError):
            return AssetError(
                f"{place}: the repository has no such revision. Look at its branches and tags at "
                f"{page(repo, repo_type)}, and set `revision`."
            )
        if rejects_token(cause):
            return AssetError(
                f"{place}: the Hub does not accept the token that was sent (HF_TOKEN, or that of `hf auth login`): it "
                "is "
                "mistyped, expired or revoked. Log in again, or unset it: models that are open need none."
            )
        if isinstance(cause, DisabledRepoError):
            return AssetError(f"{place} was disabled by the Hub; {page(repo, repo_type)} says why.")
        if isinstance(cause, (RepositoryNotFoundError, HFValidationError)):
            return AssetError(
                f"{place} is not on the Hub, or it is private and you are not logged in as somebody with access "
                "(`hf auth login`). Check the spelling: owner/name."
            )
        if isinstance(cause, HfHubHTTPError) and cause.response is not None and cause.response.status_code in BUSY:
            return AssetError(
                f"{place} could not be fetched: the Hub answered {cause.response.status_code} to {TRIES} tries. "
                "Start again later; what is fetched stays."
            )
    reason = f"{type(error).__name__}: {first_line(error)}"
    return AssetError(
        f"{place} could not be fetched from the Hub ({reason}), and the cache ({cache_folder()}) does not hold it. "
        f"Check the connection; behind a mirror set HF_ENDPOINT; or {elsewhere(repo, repo_type)}"
    )


def elsewhere(repo: str, repo_type: str) -> str:
    """Explains how to copy a repository from another machine."""
    kind = " --repo-type dataset" if repo_type == "dataset" else ""
    return (
        f"fetch it on another machine with `hf download {repo}{kind}` (with --revision if the configuration names "
        "one), copy "
        "its cache folder here and set HF_HOME to it; or name a local folder."
    )


def page(repo: str, repo_type: str) -> str:
    """The URL of a repository's page."""
    return f"https://huggingface.co/{'datasets/' if repo_type == 'dataset' else ''}{repo}"


def cache_folder() -> str:
    """The Hub's cache on this machine."""
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__


def _gate(repo: str, repo_type: str, error: GatedRepoError) -> str:
    """Explains how to get access: by logging in, or by accepting the terms."""
    if error.response.status_code == 401:
        return (
            f"Accept its terms on {page(repo, repo_type)}, then log in with `hf auth login` or set HF_TOKEN to a token "
            "of "
            "that account."
        )
    return (
        f"The account of your token has no access: accept the terms on {page(repo, repo_type)} with it, and wait where "
        "its "
        "authors must agree. A fine-grained token must be allowed to read gated repositories."
    )


def rejects_token(error: BaseException) -> bool:
    """Whether the Hub answered that the token is invalid."""
    from huggingface_hub.errors import HfHubHTTPError

    if not isinstance(error, HfHubHTTPError) or error.response is None or error.response.status_code != 401:
        return False
    return "Invalid credentials" in error.response.headers.get("X-Error-Message", "")
