"""What can be told of a Hub repository without fetching it: whether it is there, for whom, and how large its files are.

Nothing is raised: whatever the Hub answers, or does not, becomes a word and a sentence, so that one repository does not
hide what is found of the others.
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
"""How long to wait for an answer about one repository."""

TRIES = 3
"""How often a busy Hub is asked about one repository."""

Found = Literal["yes", "no", "gated", "here", "unknown"]
"""There and open to this account; not there or of no use; closed to it; in the cache already; the Hub did not tell."""


@dataclass(frozen=True)
class Repository:
    """What is known of a repository at a revision.

    Attributes:
        found: whether it can be had.
        commit: what the revision stands for.
        sizes: bytes by file name; of a gated repository without access those of its main branch.
        parameters: numbers in its safetensors files, as the Hub counts them.
        gated: whether its terms must be accepted; None where that was not told.
        config: what the Hub tells of config.json: `model_type`, `architectures`, `auto_map`.
        note: why it cannot be had, and what to do.
        held: names of the files that are in the cache on this machine, where that was asked.
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
    """Asks the Hub about a repository; a busy Hub a few times.

    Args:
        repo: owner/name; a malformed one is a finding, too.
        revision: branch, tag or commit; None for the main branch.
        repo_type: "model" or "dataset".
    """
    from huggingface_hub.errors import GatedRepoError

    try:
        info = _ask(repo, revision, repo_type)
        known = _told(info)
        return replace(known, **_access(repo, repo_type)) if known.gated else known
    except GatedRepoError as error:
        # the page of a gated repository is open to all, that of one of its revisions is not
        return replace(
            _public(repo, repo_type), found="gated", gated=True, note=_sentence(repo, revision, repo_type, error)
        )
    except Exception as error:  # of the Hub's client, and of what it makes of an answer that it did not expect
        return _failure(repo, revision, repo_type, error)


def cached_repository(repo: str, revision: str | None = None, *, repo_type: RepoType = "model") -> Repository | None:
    """What the Hub's cache on this machine knows of a repository, without a request; None if it knows nothing."""
    from huggingface_hub import HfApi, get_cached_repo_tree
    from huggingface_hub.file_download import repo_folder_name

    try:
        commit = revision
        if not is_commit(revision):
            known = HfApi().resolve_revision(repo, repo_type=repo_type, revision=revision, local_files_only=True)
            commit = known.resolved
        entries = get_cached_repo_tree(repo, repo_type=repo_type, revision=commit)
    except Exception:  # nothing of it is here, or its name is none
        return None
    folder = Path(cache_folder()) / repo_folder_name(repo_id=repo, repo_type=repo_type) / "snapshots" / str(commit)
    sizes = {entry.path: entry.size for entry in entries}
    held = frozenset(name for name in sizes if (folder / name).is_file())
    return Repository("here" if held else "unknown", commit, sizes, held=held)


def token_state() -> str:
    """Whose token the Hub gets from this machine, in words: none, a name's, or one that the Hub does not accept."""
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
    """A repository as the Hub's client describes it."""
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
    """Whether this account may read a gated repository; the public page does not tell."""
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
    """What a gated repository tells everybody."""
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
    """What `extract` would say, without the repository's name in front."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if isinstance(error, HFValidationError):
        return f"{repo!r} cannot be the name of a repository: expected owner/name"
    if isinstance(error, HfHubHTTPError) and may_pass(error):
        return f"the Hub answered {error.response.status_code} to {TRIES} tries; ask again later"
    text = str(error if isinstance(error, AssetError) else refusal(repo, revision, repo_type, error))
    return text.removeprefix(f"{repo_type} {repo!r} at revision {revision or 'main'!r} ").removeprefix(": ")
