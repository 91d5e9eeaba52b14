"""Tables that commands write to disk: their paths, and how they are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from platorep.commands.experiment import Experiment
from platorep.core.digest import digest
from platorep.core.errors import StoreError
from platorep.core.files import slug
from platorep.results.tables import Table


class NotRunError(StoreError):
    """The command that writes a table has not run with these settings."""


AnyTable = TypeVar("AnyTable", bound=Table)


def code_of(experiment: Experiment, **settings: Any) -> str:
    """Hash of everything that determines a table: the current bytes of the features, clamp, seed and settings.

    If a model is extracted again with other bytes, it gets another table and other parts.
    """
    models = [[features.key, features.content] for features in experiment.features]
    return digest({"models": models, "clip": experiment.clamp.id, "seed": experiment.statistics.seed, **settings})


def table_path(experiment: Experiment, command: str, code: str, *, title: str = "") -> Path:
    """The file of a table: ROOT/COMMAND/DATASET/[TITLE--]SUITE--DATASET--CODE.parquet.

    Args:
        experiment: names root, dataset and suite.
        command: the command that writes the table; names the folder.
        code: hash of everything that determines the table, so that configurations never overwrite each other; see
            `code_of`.
        title: distinguishes the tables of one command.
    """
    folder = experiment.root / command / experiment.dataset_folder.name
    return folder / f"{title}{'--' * bool(title)}{slug(experiment.name)}--{code}.parquet"


def stored_table(kind: type[AnyTable], path: Path, title: str, command: str) -> AnyTable:
    """The table in a file.

    Args:
        kind: class of the table.
        path: its file, from `table_path`.
        title: the content of the table, for the message.
        command: the command that writes it.

    Raises:
        NotRunError: there is no such file; the message says which command writes it.
        StoreError: the file is damaged, or holds another kind of table.
    """
    if not path.is_file():
        raise NotRunError(f"no {title} at {path}. Run `platorep {command}` with the same settings first.")
    return kind.load([path])
