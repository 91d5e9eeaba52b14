"""The Hugging Face Hub: revisions resolved to commits, and files of a repository at a commit, checked by their hashes.

Files that were fetched once are read from the Hub's cache without a request or a connection. A file is checked when it
is fetched and whenever it is used again: the Hub's cache names large files by their SHA-256 and small files by git's
SHA-1.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from platorep.assets.patience import may_pass, persistently
from platorep.assets.refusals import cache_folder, elsewhere, refusal
from platorep.core.errors import AssetError
from platorep.core.files import sha256_file, write_atomically


log = logging.getLogger(__name__)

RepoType = Literal["model", "dataset"]

ANSWER_SECONDS = 20.0
"""Seconds to wait for an answer about a repository."""

_resolved: dict[tuple[str, str, str | None], str | None] = {}
"""Commits that this process was told, None where nobody could tell, by kind, owner/name and revision. A branch that
moves during a run stays put."""

_checked: set[tuple[str, int, int]] = set()
"""Files that this process has checked: path, size and time of modification."""


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit hash."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def resolve_revision(repo: str, revision: str | None = None, *, repo_type: RepoType = "model") -> str:
    """Returns the current commit of a branch, a tag or None (the main branch).

    A commit is returned as it is, without a request. The answer holds for the rest of the process, so that a run is
    about one commit. It is kept in the Hub's cache, too: when the Hub cannot be reached or stays busy, it stands in,
    and the log says so.

    Raises:
        AssetError: the repository or revision does not exist or is not accessible, or the Hub cannot be reached and the
            commit is not cached.
    """
    if revision is not None and is_commit(revision):
        return revision
    commit = _resolved.get((repo_type, repo, revision)) or _ask(repo, revision, repo_type)
    _resolved[repo_type, repo, revision] = commit
    return commit


def _ask(repo: str, revision: str | None, repo_type: RepoType) -> str:
    from huggingface_hub import constants

    try:
        info = persistently(lambda: _information(repo, revision, repo_type, ANSWER_SECONDS), f"{repo_type} {repo}")
    except _hub_errors() as error:
        cached = None if _answered(error) else _cached_commit(repo, revision, repo_type)
        if cached is None:
            raise refusal(repo, revision, repo_type, error) from error
        level = logging.INFO if constants.is_offline_mode() else logging.WARNING
        log.log(level, "the Hub was not asked for %s %s: taking commit %s from the cache", repo_type, repo, cached)
        return cached
    if not info.sha:
        raise AssetError(f"the Hub names no commit for {repo} at {revision or 'main'}. Give the commit as `revision`.")
    _keep_commit(repo, revision, repo_type, info.sha)
    return info.sha


def known_commit(repo: str, revision: str | None, *, repo_type: RepoType = "model", seconds: float = 5.0) -> str | None:
    """The commit of a branch or tag by a single request, else from the cache.

    For comparisons with stored specs, which do not need the repository: raises no errors and repeats no requests.

    Args:
        repo: owner/name.
        revision: the requested revision.
        repo_type: "model" or "dataset".
        seconds: time to wait for the answer.

    Returns:
        The commit, or None if neither the Hub nor the cache knows it.
    """
    if revision is not None and is_commit(revision):
        return revision
    if (repo_type, repo, revision) not in _resolved:
        try:
            commit = _information(repo, revision, repo_type, seconds).sha
        except _hub_errors():
            commit = _cached_commit(repo, revision, repo_type)
        _resolved[repo_type, repo, revision] = commit
    return _resolved[repo_type, repo, revision]


def snapshot(repo: str, commit: str, members: Sequence[str] = (), *, repo_type: RepoType = "model") -> Path:
    """The folder of a repository at a commit in the Hub's cache; fetches only `members` (names or patterns) if given.

    Members that do not exist are ignored. Damaged files are removed and fetched again.

    Raises:
        AssetError: as for `resolve_revision`, or a fetched file does not match its hash.
    """
    from huggingface_hub import snapshot_download

    patterns = [pattern for member in members for pattern in (member, f"{member.rstrip('/')}/*")] or None
    where: dict[str, Any] = {"repo_type": repo_type, "revision": commit, "allow_patterns": patterns}
    damaged: list[Path] = []
    for _ in range(2):
        folder = _complete(repo, where)
        try:
            if folder is None:
                # asked first, because the client waits half a minute for an absent Hub and gives less detail on
                # refusals
                persistently(lambda: _information(repo, commit, repo_type, ANSWER_SECONDS), f"{repo_type} {repo}")
                persistently(lambda: snapshot_download(repo, **where), f"{repo_type} {repo}")
                folder = _complete(repo, where)
        except _hub_errors() as error:
            raise _lost(damaged, refusal(repo, commit, repo_type, error)) from error
        if folder is None:
            raise _lost(damaged, _unlisted(repo, commit, repo_type))
        damaged = _damaged(folder, _wanted(repo, where))
        if not damaged:
            return folder
        log.warning("%s is damaged and is fetched again", ", ".join(map(str, damaged)))
        for file in damaged:
            _remove(file)
    raise AssetError(
        f"{repo_type} {repo!r} at {commit}: {damaged[0].name} came twice with other bytes than the Hub says it has (by "
        "its "
        "hash). Something between here and the Hub alters files: try another connection or mirror (HF_ENDPOINT)."
    )


def listing(repo: str, commit: str, *, repo_type: RepoType = "model") -> list[str]:
    """Names of all files of a repository at a commit, after a call of `snapshot`.

    Raises:
        AssetError: no file of the repository has been fetched.
    """
    where: dict[str, Any] = {"repo_type": repo_type, "revision": commit, "allow_patterns": None}
    if (wanted := _wanted(repo, where)) is None:
        raise _unlisted(repo, commit, repo_type)
    return sorted(wanted)


def branches(repo: str, *, repo_type: RepoType = "model") -> list[str]:
    """Names of a repository's branches, for messages; empty if the Hub does not answer."""
    from huggingface_hub import HfApi

    try:
        return [ref.name for ref in HfApi().list_repo_refs(repo, repo_type=repo_type).branches]
    except _hub_errors():
        return []


# the cache ------------------------------------------------------------------------------------------------------------


def _complete(repo: str, where: dict[str, Any]) -> Path | None:
    """The folder of a commit if the cache has its list of files and all wanted files."""
    wanted = _wanted(repo, where)
    folder = _kept(repo, where["repo_type"]) / "snapshots" / where["revision"]
    return folder if wanted is not None and all((folder / name).is_file() for name in wanted) else None


def _kept(repo: str, repo_type: str) -> Path:
    """The folder of a repository in the Hub's cache."""
    from huggingface_hub.file_download import repo_folder_name

    return Path(cache_folder()) / repo_folder_name(repo_id=repo, repo_type=repo_type)


def _wanted(repo: str, where: dict[str, Any]) -> dict[str, Any] | None:
    """Entries of the wanted files in the cached list of a commit, by name; None without such a list."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError
    from huggingface_hub.utils import filter_repo_objects

    try:
        entries = get_cached_repo_tree(repo, repo_type=where["repo_type"], revision=where["revision"])
    except CachedRepoTreeNotFoundError:
        return None
    by_name = {entry.path: entry for entry in entries}
    return {name: by_name[name] for name in filter_repo_objects(by_name, allow_patterns=where["allow_patterns"])}


def _unlisted(repo: str, commit: str, repo_type: str) -> AssetError:
    return AssetError(
        f"{repo_type} {repo!r} at {commit}: the cache ({cache_folder()}) does not say which files belong to it, so "
        "that what "
        "is there may be a part, and the Hub cannot be asked. Start once with a connection, or "
        f"{elsewhere(repo, repo_type)}"
    )


def _lost(damaged: list[Path], error: AssetError) -> AssetError:
    """The error, with the names of damaged files that were removed before it."""
    if not damaged:
        return error
    names = ", ".join(file.name for file in damaged)
    return AssetError(f"{names} in the cache was damaged and has been removed, and could not be fetched again: {error}")


def _cached_commit(repo: str, revision: str | None, repo_type: str) -> str | None:
    """The cached commit of a branch or tag."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RevisionResolutionError

    try:
        resolved = HfApi().resolve_revision(repo, repo_type=repo_type, revision=revision, local_files_only=True)
    except (RevisionResolutionError, HFValidationError):
        return None
    return resolved.resolved


def _keep_commit(repo: str, revision: str | None, repo_type: str, commit: str) -> None:
    """Stores the commit of a branch or tag in the Hub's cache, as its client does, for runs without a connection."""
    ref = _kept(repo, repo_type) / "refs" / (revision or "main")
    try:
        if not ref.is_file() or ref.read_text() != commit:
            write_atomically(ref, lambda path: path.write_text(commit))
    except OSError as error:
        log.warning("%s cannot be written (%s): a later run without a connection will not find %s", ref, error, repo)


# hashes ---------------------------------------------------------------------------------------------------------------


def _damaged(folder: Path, wanted: dict[str, Any] | None) -> list[Path]:
    """The wanted files that do not match their hashes. Cost: reads every byte once per process."""
    files = {folder / name: entry for name, entry in (wanted or {}).items()}
    with ThreadPoolExecutor(4) as pool:
        intact = list(pool.map(_is_intact, files, files.values()))
    return [file for file, fine in zip(files, intact, strict=True) if not fine]


def _is_intact(file: Path, entry: Any) -> bool:
    status = file.stat()
    seen = (str(file.resolve()), status.st_size, status.st_mtime_ns)
    if seen not in _checked:
        name = Path(os.readlink(file)).name if file.is_symlink() else ""
        if re.fullmatch(r"[0-9a-f]{64}", name):
            intact = sha256_file(file) == name
        else:
            # without links on the disk, nothing states the hash of a large file; the list has git's hash of its pointer
            is_git_hash = re.fullmatch(r"[0-9a-f]{40}", name) is not None
            intact = status.st_size == entry.size and (not is_git_hash or _git_sha1(file) in (name, entry.blob_id))
        if not intact:
            return False
        _checked.add(seen)
    return True


def _git_sha1(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _remove(file: Path) -> None:
    """Removes a file of the cache and the target of its link, which the client would reuse."""
    while file.is_symlink():
        target = file.parent / os.readlink(file)
        file.unlink()
        file = target
    file.unlink(missing_ok=True)


# requests -------------------------------------------------------------------------------------------------------------


def _information(repo: str, revision: str | None, repo_type: str, seconds: float) -> Any:
    from huggingface_hub import HfApi

    ask = HfApi().model_info if repo_type == "model" else HfApi().dataset_info
    return ask(repo, revision=revision, timeout=seconds)


def _hub_errors() -> tuple[type[Exception], ...]:
    """Base classes of the errors that the Hub's client raises."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import httpx

    return (OSError, httpx.HTTPError, HFValidationError, AssetError)


def _answered(error: Exception) -> bool:
    """Whether the Hub refused the request, so that a cached copy must not be used instead."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    return isinstance(error, (HFValidationError, AssetError)) or (
        isinstance(error, HfHubHTTPError) and not may_pass(error)
    )
