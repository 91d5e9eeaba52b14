"""Dataset repositories of the Hub as local folders, which the `datasets` library opens without the Hub.

That library's own way to the Hub takes what it finds in its cache when the Hub does not answer, be it of another
commit, and checks no hash. So the folder is made here, of files that were fetched and checked:

    <cache>/datasets/<name>-<commit>/    links to the files requested so far, and empty files in place of all others

Empty files suffice because the library selects the files of a config and split by their names.
"""

from __future__ import annotations

import errno
import os
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from platorep.assets import cache_dir
from platorep.assets.hub import branches, listing, snapshot
from platorep.assets.refusals import page
from platorep.core.errors import AssetError, DataError, PlatorepError, SpecError, unknown_name
from platorep.core.files import slug


if TYPE_CHECKING:
    import datasets

T = TypeVar("T")

CARDS = ("README.md", "dataset_infos.json", ".huggingface.yaml", ".gitattributes")
"""Files that the library reads before it selects data files, and a file that every repository has."""


def load(repo: str, commit: str, config: str | None, split: str) -> datasets.Dataset:
    """The rows of a split of a dataset repository at a commit, fetched if necessary.

    All splits of the config are fetched, because the library prepares them together.

    Raises:
        AssetError: files cannot be fetched.
        SpecError: there are several configs and none is chosen, or the repository has no data at this commit.
        UnknownNameError: the config or split does not exist.
        DataError: files have another format than their names state.
    """
    folder, names = _folder(repo, commit)
    try:
        builder = _builder(repo, commit, folder, config)
    except zipfile.BadZipFile:  # the library opens archives to determine their content
        _fetch(repo, commit, folder, [name for name in names if name.endswith(".zip")])
        builder = _builder(repo, commit, folder, config)
    _fetch(repo, commit, folder, [name for files in _files(builder, folder).values() for name in files])
    return read(folder, config, split, repo)


def stream(repo: str, commit: str, config: str | None, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split in order. Files are fetched one by one, so only the first files of a large corpus are needed.

    Raises:
        AssetError, SpecError, UnknownNameError, DataError: as for `load`; for each file when it is reached.
    """
    folder, _ = _folder(repo, commit)
    builder = _builder(repo, commit, folder, config)
    return _stream(builder, folder, split, repo, lambda name: _fetch(repo, commit, folder, [name]))


def stream_local(folder: Path, config: str | None, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split of a local folder in order, without preparing a copy of all rows.

    Raises:
        AssetError, SpecError, UnknownNameError, DataError: as for `load`.
    """
    import datasets

    where = str(folder)
    builder = _explained(lambda: datasets.load_dataset_builder(where, config), folder, config, None, where)
    return _stream(builder, folder, split, where, lambda name: None)


def _stream(
    builder: datasets.DatasetBuilder, folder: Path, split: str, name: str, bring: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    import datasets

    files = _files(builder, folder)
    if split not in files:
        raise unknown_name(f"split of dataset {name}", split, files)

    def rows(path: Path) -> Iterator[dict[str, Any]]:
        kind = str(builder.info.builder_name)  # parquet, json, text, ...
        return iter(datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True))

    for file in files[split]:
        bring(file)
        yield from _explained(partial(rows, folder / file), folder, None, None, name)


def local(folder: Path, digest: str) -> Path:
    """A local folder without the notes beside tar files, which the library would treat as data.

    Args:
        folder: in one of the Hub's formats.
        digest: hash of its content; names the folder of links that is created if there are notes.
    """
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    kept = _without_notes(names)
    if len(kept) == len(names):
        return folder
    linked = cache_dir() / "datasets" / f"{slug(folder.name)}-{digest[:12]}"
    for name in kept:
        _place(linked / name, folder.resolve() / name)
    return linked


def read(folder: Path, config: str | None, split: str, name: str) -> datasets.Dataset:
    """The rows of a split of a local folder in one of the Hub's formats.

    Args:
        folder: the folder.
        config: None for the only or default config.
        split: its name, or part of it, as in "train[:100]".
        name: name of the dataset in messages.

    Raises:
        AssetError: there are no files, or the disk is full.
        SpecError, UnknownNameError, DataError: as for `load`.
    """
    import datasets

    def rows() -> datasets.Dataset:
        return datasets.load_dataset(str(folder), config, split=split)

    return _explained(rows, folder, config, split, name)


def _folder(repo: str, commit: str) -> tuple[Path, list[str]]:
    """The folder of a repository at a commit, with its card and empty data files, and the names of these."""
    folder = cache_dir() / "datasets" / f"{slug(repo)}-{commit[:12]}"
    _fetch(repo, commit, folder, CARDS)
    names = _without_notes([name for name in listing(repo, commit, repo_type="dataset") if _is_data(name)])
    for name in names:
        _place(folder / name)
    return folder, names


def _without_notes(names: list[str]) -> list[str]:
    """The names; without text files if there are tar files, because nshards.txt and the like describe these."""
    tars = any(name.endswith(".tar") for name in names)
    return [name for name in names if not (tars and name.endswith(".txt"))]


def _builder(repo: str, commit: str, folder: Path, config: str | None) -> datasets.DatasetBuilder:
    """The library's builder, which selects files by name."""
    import datasets

    try:
        return _explained(lambda: datasets.load_dataset_builder(str(folder), config), folder, config, None, repo)
    except AssetError as error:
        raise _without_data(repo, commit, error) from error


def _files(builder: datasets.DatasetBuilder, folder: Path) -> dict[str, list[str]]:
    """Names of the files of a config by split, in the order of the library."""
    return {
        str(split): [Path(path).relative_to(folder.resolve()).as_posix() for path in paths]
        for split, paths in (builder.config.data_files or {}).items()
    }


def _explained(act: Callable[[], T], folder: Path, config: str | None, split: str | None, name: str) -> T:
    """Returns the result of `act`; errors of the library are converted to messages."""
    import datasets

    try:
        return act()
    except (PlatorepError, zipfile.BadZipFile):
        raise
    except (FileNotFoundError, datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise AssetError(
                    f"dataset {name} does not fit on the disk where it is prepared "
                    f"({datasets.config.HF_DATASETS_CACHE}). "
                    "Make room, or set HF_DATASETS_CACHE to a folder on a larger disk."
                ) from error
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, FileNotFoundError):
            raise AssetError(f"dataset {name} has no data files in {folder}.") from error
        configs = datasets.get_dataset_config_names(str(folder))
        if config is not None and config not in configs:
            raise unknown_name(f"config of dataset {name}", config, configs) from error
        if config is None and len(configs) > 1 and "default" not in configs:
            raise SpecError(
                f"dataset {name} has several configs: {', '.join(configs)}. Choose one with dataset.config."
            ) from error
        splits = _splits(folder, config)
        if split is not None and splits and split.partition("[")[0] not in splits:
            raise unknown_name(f"split of dataset {name}", split, splits) from error
        reason = str(error).strip().partition("\n")[0][:300]
        raise DataError(
            f"dataset {name} cannot be read ({type(error).__name__}: {reason}). Its files in {folder} were checked by "
            "their "
            "hashes if they came from the Hub; if a prepared copy is damaged, delete it in "
            f"{datasets.config.HF_DATASETS_CACHE}."
        ) from error


def _splits(folder: Path, config: str | None) -> list[str]:
    """Names of the splits of a config; empty if the library cannot determine them."""
    import datasets

    try:
        return datasets.get_dataset_split_names(str(folder), config)
    except ValueError:
        return []


def _without_data(repo: str, commit: str, error: AssetError) -> PlatorepError:
    """The error for a repository without data files."""
    programs = [name for name in listing(repo, commit, repo_type="dataset") if name.endswith(".py")]
    if programs:
        return SpecError(
            f"dataset {repo} is a program ({programs[0]}), which is not run. The Hub keeps a copy in parquet of many "
            "such "
            "datasets: try dataset.revision=refs/convert/parquet, or name another dataset."
        )
    others = ", ".join(branches(repo, repo_type="dataset"))
    where = f"its branches are {others}: set dataset.revision." if others else f"see {page(repo, 'dataset')}."
    return SpecError(f"dataset {repo} has no data files at commit {commit}; {where}") if others else error


def _is_data(name: str) -> bool:
    """Whether a file may hold data: not a card, a program or a file of git."""
    return name not in CARDS and not name.endswith(".py") and not name.rpartition("/")[2].startswith(".git")


def _fetch(repo: str, commit: str, folder: Path, names: Iterable[str]) -> None:
    """Fetches files and links them into the folder."""
    names = list(names)
    source = snapshot(repo, commit, names, repo_type="dataset") if names else folder
    for name in names:
        if (source / name).is_file():
            _place(folder / name, source / name)


def _place(path: Path, target: Path | None = None) -> None:
    """Replaces an empty file by a link to `target`; without a target, creates an empty file if none exists."""
    if path.exists() if target is None else (path.is_symlink() and Path(os.readlink(path)) == target):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    if target is None:
        temporary.touch()
        os.utime(temporary, (0, 0))  # the library identifies prepared data by times, which must not change
    else:
        temporary.symlink_to(target)
    os.replace(temporary, path)
