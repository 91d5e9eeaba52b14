"""A dataset repository of the Hub as a local folder, which the `datasets` library opens without asking the Hub.

That library's own way to the Hub takes what it finds in its cache when the Hub does not answer, be it of another commit, and
checks no hash. So the folder is made here, of files that were fetched and checked:

    <cache>/datasets/<name>-<commit>/    links to the files that were wanted so far, and empty files for all others

The library chooses the files of a config and a split by their names, for which empty ones do.
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
"""What the library reads before it knows which files it wants, and a file that every repository has."""


def load(repo: str, commit: str, config: str | None, split: str) -> datasets.Dataset:
    """The rows of a split of a dataset repository at a commit, fetched if they are not here yet.

    All splits of the config are fetched, because the library prepares them together.

    Raises:
        AssetError: files cannot be had.
        SpecError: several configs and none chosen, or a repository that has no data at this commit.
        UnknownNameError: no such config or split.
        DataError: files that are not what their names say.
    """
    folder, names = _folder(repo, commit)
    try:
        builder = _builder(repo, commit, folder, config)
    except zipfile.BadZipFile:  # the library looks into archives to tell what they hold
        _fetch(repo, commit, folder, [name for name in names if name.endswith(".zip")])
        builder = _builder(repo, commit, folder, config)
    _fetch(repo, commit, folder, [name for files in _files(builder, folder).values() for name in files])
    return read(folder, config, split, repo)


def stream(repo: str, commit: str, config: str | None, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split in order, each file fetched when its turn comes: of a large corpus only the first ones.

    Raises:
        AssetError, SpecError, UnknownNameError, DataError: as `load`; those of a file when its turn comes.
    """
    folder, _ = _folder(repo, commit)
    builder = _builder(repo, commit, folder, config)
    return _stream(builder, folder, split, repo, lambda name: _fetch(repo, commit, folder, [name]))


def stream_local(folder: Path, config: str | None, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split of a local folder in order, without a prepared copy of all of them.

    Raises:
        AssetError, SpecError, UnknownNameError, DataError: as `load`.
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
    """A local folder as the library is to see it: without the notes beside tar files, which it would take for the data.

    Args:
        folder: in one of the Hub's formats.
        digest: of its content; names the folder of links that is made where there are notes.
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
        folder: where the files are.
        config: None for the only one, or the default.
        split: its name, or part of it, as in "train[:100]".
        name: of the dataset, for messages.

    Raises:
        AssetError: there are no files, or the disk is full.
        SpecError, UnknownNameError, DataError: as `load`.
    """
    import datasets

    def rows() -> datasets.Dataset:
        return datasets.load_dataset(str(folder), config, split=split)

    return _explained(rows, folder, config, split, name)


def _folder(repo: str, commit: str) -> tuple[Path, list[str]]:
    """The folder of a repository at a commit, with its card and a place for every data file, and the names of these."""
    folder = cache_dir() / "datasets" / f"{slug(repo)}-{commit[:12]}"
    _fetch(repo, commit, folder, CARDS)
    names = _without_notes([name for name in listing(repo, commit, repo_type="dataset") if _is_data(name)])
    for name in names:
        _place(folder / name)
    return folder, names


def _without_notes(names: list[str]) -> list[str]:
    """The names without text files where there are tar files: nshards.txt and the like are notes on these."""
    tars = any(name.endswith(".tar") for name in names)
    return [name for name in names if not (tars and name.endswith(".txt"))]


def _builder(repo: str, commit: str, folder: Path, config: str | None) -> datasets.DatasetBuilder:
    """What the library makes of the names of the files."""
    import datasets

    try:
        return _explained(lambda: datasets.load_dataset_builder(str(folder), config), folder, config, None, repo)
    except AssetError as error:
        raise _without_data(repo, commit, error) from error


def _files(builder: datasets.DatasetBuilder, folder: Path) -> dict[str, list[str]]:
    """The names of a config's files by split, in the library's order."""
    return {
        str(split): [Path(path).relative_to(folder.resolve()).as_posix() for path in paths]
        for split, paths in (builder.config.data_files or {}).items()
    }


def _explained(act: Callable[[], T], folder: Path, config: str | None, split: str | None, name: str) -> T:
    """What `act` returns; what the library raises in it becomes a sentence."""
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
                    f"dataset {name} does not fit on the disk where it is prepared ({datasets.config.HF_DATASETS_CACHE}). "
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
            f"dataset {name} cannot be read ({type(error).__name__}: {reason}). Its files in {folder} were checked by their "
            f"hashes if they came from the Hub; if a prepared copy is damaged, delete it in {datasets.config.HF_DATASETS_CACHE}."
        ) from error


def _splits(folder: Path, config: str | None) -> list[str]:
    """The names of a config's splits; none where the library cannot tell."""
    import datasets

    try:
        return datasets.get_dataset_split_names(str(folder), config)
    except ValueError:
        return []


def _without_data(repo: str, commit: str, error: AssetError) -> PlatorepError:
    """The error for a repository in which the library finds no data files."""
    programs = [name for name in listing(repo, commit, repo_type="dataset") if name.endswith(".py")]
    if programs:
        return SpecError(
            f"dataset {repo} is a program ({programs[0]}), which is not run. The Hub keeps a copy in parquet of many such "
            "datasets: try dataset.revision=refs/convert/parquet, or name another dataset."
        )
    others = ", ".join(branches(repo, repo_type="dataset"))
    where = f"its branches are {others}: set dataset.revision." if others else f"see {page(repo, 'dataset')}."
    return SpecError(f"dataset {repo} has no data files at commit {commit}; {where}") if others else error


def _is_data(name: str) -> bool:
    """Whether a file may be data: no card, no program, nothing of git's."""
    return name not in CARDS and not name.endswith(".py") and not name.rpartition("/")[2].startswith(".git")


def _fetch(repo: str, commit: str, folder: Path, names: Iterable[str]) -> None:
    """Fetches files and puts links to them into the folder."""
    names = list(names)
    source = snapshot(repo, commit, names, repo_type="dataset") if names else folder
    for name in names:
        if (source / name).is_file():
            _place(folder / name, source / name)


def _place(path: Path, target: Path | None = None) -> None:
    """Puts a link where an empty file was; without a target an empty file, where nothing or a dead link is."""
    if path.exists() if target is None else (path.is_symlink() and Path(os.readlink(path)) == target):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.tmp")
    if target is None:
        temporary.touch()
        os.utime(temporary, (0, 0))  # the library knows what it prepared by times, which must not differ
    else:
        temporary.symlink_to(target)
    os.replace(temporary, path)
