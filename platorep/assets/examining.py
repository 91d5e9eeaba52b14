"""Examines a Hub repository without fetching it: its existence, access, and the sizes of its files.

No errors are raised: every answer of the Hub, or the lack of one, becomes a status and a note, so that a problem with
one repository does not hide the results of the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from platorep.assets.hub import RepoType, branches, is_commit
from platorep.assets.patience import may_pass, persistently
from platorep.assets.refusals import cache_folder, page, refusal, rejects_token
from platorep.core.errors import AssetError


ANSWER_SECONDS = 10.0
"""Seconds to wait for an answer about one repository."""

TRIES = 3
"""Number of requests about one repository if the Hub is busy."""

Found = Literal["yes", "no", "gated", "here", "unknown"]
"""Accessible; missing or unusable; no access; already in the cache; unknown, as the Hub did not answer."""


@dataclass(frozen=True)
class Repository:
    """Facts about a repository at a revision.

    Attributes:
        found: whether it is available.
        commit: the commit of the revision.
        sizes: bytes by file name; for a gated repository without access, those of its main branch.
        parameters: numbers in its safetensors files, as counted by the Hub.
        gated: whether its terms must be accepted; None if unknown.
        config: the Hub's summary of config.json: `model_type`, `architectures`, `auto_map`.
        note: why it is not available, and the remedy.
        held: names of files in the cache of this machine, if requested.
    """

    found: Found
    commit: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    parameters: int | None = None
    gated: bool | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    held: frozenset[str] = frozenset()


def examine_repository(repo: str, revision: str | None = None, *, repo_type: RepoType = "model") -> Repository:
    """Asks the Hub about a repository, repeatedly if the Hub is busy.

    Args:
        repo: owner/name; a malformed name is reported like other problems.
        revision: branch, tag or commit; None for the main branch.
        repo_type: "model" or "dataset".
    """
    from huggingface_hub.errors import GatedRepoError

    try:
        info = _ask(repo, revision, repo_type)
        known = _told(info)
        return replace(known, **_access(repo, repo_type)) if known.gated else known
    except GatedRepoError as error:
        # the page of a gated repository is public, but the pages of its revisions are not
        return replace(
            _public(repo, repo_type), found="gated", gated=True, note=_sentence(repo, revision, repo_type, error)
        )
    except Exception as error:  # errors of the Hub's client, also while it parses an unexpected answer
        return _failure(repo, revision, repo_type, error)


def cached_repository(repo: str, revision: str | None = None, *, repo_type: RepoType = "model") -> Repository | None:
    """Facts about a repository in the Hub's cache on this machine, without a request; None if it is not cached."""
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.file_download import repo_folder_name

    try:
        commit = revision
        if not is_commit(revision):
            known = HfApi().resolve_revision(repo, repo_type=repo_type, revision=revision, local_files_only=True)
            commit = known.resolved
        entries = get_cached_repo_tree(repo, repo_type=repo_type, revision=commit)
    except Exception:  # it is not cached, or its name is invalid
        return None
    folder = Path(cache_folder()) / repo_folder_name(repo_id=repo, repo_type=repo_type) / "snapshots" / str(commit)
    sizes = {entry.path: entry.size for entry in entries}
    held = frozenset(name for name in sizes if (folder / name).is_file())
    return Repository("here" if held else "unknown", commit, sizes, held=held)


def token_state() -> str:
    """Describes the Hub token of this machine: none, the name of its account, or rejected by the Hub."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if get_token() is None:
        return "none (HF_TOKEN, or `hf auth login`)"
    try:
        return f"that of {persistently(lambda: HfApi().whoami(), 'whoami', TRIES)['name']}"
    except HfHubHTTPError as error:
        refused = error.response is not None and error.response.status_code in (401, 403)
        return "one that the Hub does not accept: log in again, or unset it" if refused else "one that was not checked"
    except Exception:
        return "one that was not checked"


def _ask(repo: str, revision: str | None, repo_type: RepoType) -> Any:
    from huggingface_hub import HfApi

    ask = HfApi().model_info if repo_type == "model" else HfApi().dataset_info
    return persistently(
        lambda: ask(repo, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS), f"{repo_type} {repo}", TRIES
    )


def _told(info: Any) -> Repository:
    """Converts the description of the Hub's client."""
    counted = getattr(info, "safetensors", None)
    return Repository(
        "yes",
        info.sha,
        {file.rfilename: file.size or 0 for file in info.siblings or []},
        counted.total if counted is not None else None,
        bool(info.gated),
        getattr(info, "config", None) or {},
    )


def _access(repo: str, repo_type: RepoType) -> dict[str, Any]:
    """Whether this account can read a gated repository, which its public page does not state."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError

    try:
        persistently(lambda: HfApi().auth_check(repo, repo_type=repo_type), f"{repo_type} {repo}", TRIES)
    except GatedRepoError as error:
        return {"found": "gated", "note": _sentence(repo, None, repo_type, error)}
    except Exception as error:
        return {"found": "unknown", "note": _sentence(repo, None, repo_type, error)}
    return {"found": "yes"}


def _public(repo: str, repo_type: RepoType) -> Repository:
    """Public facts about a gated repository."""
    try:
        return replace(_told(_ask(repo, None, repo_type)), commit=None)
    except Exception:
        return Repository("gated")


def _failure(repo: str, revision: str | None, repo_type: RepoType, error: Exception) -> Repository:
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    note = _sentence(repo, revision, repo_type, error)
    if isinstance(error, RevisionNotFoundError):
        near = difflib.get_close_matches(revision or "main", branches(repo, repo_type=repo_type), n=3, cutoff=0.5)
        note = f"no branch, tag or commit {revision!r}" + (f"; near: {', '.join(near)}" if near else "")
        note += f". See {page(repo, repo_type)}/tree/main"
        return Repository("no", note=note)
    absent = isinstance(error, (RepositoryNotFoundError, HFValidationError)) and not rejects_token(error)
    return Repository("no" if absent else "unknown", note=note)


def _sentence(repo: str, revision: str | None, repo_type: RepoType, error: Exception) -> str:
    """The error message of `extract` without the name of the repository."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if isinstance(error, HFValidationError):
        return f"{repo!r} cannot be the name of a repository: expected owner/name"
    if isinstance(error, HfHubHTTPError) and may_pass(error):
        return f"the Hub answered {error.response.status_code} to {TRIES} tries; ask again later"
    text = str(error if isinstance(error, AssetError) else refusal(repo, revision, repo_type, error))
    return text.removeprefix(f"{repo_type} {repo!r} at revision {revision or 'main'!r} ").removeprefix(": ")
