"""Tables that commands leave on disk: where one lies, and how it is read back."""

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
    """Hash of what determines a table: the bytes of the features as they are now, the clamp, the seed, and settings.

    A model whose features were extracted anew with other bytes gets another table, as it gets other parts.
    """
    models = [[features.key, features.content] for features in experiment.features]
    return digest({"models": models, "clip": experiment.clamp.id, "seed": experiment.statistics.seed, **settings})


def table_path(experiment: Experiment, command: str, code: str, *, title: str = "") -> Path:
    """The file of a table: ROOT/COMMAND/DATASET/[TITLE--]SUITE--DATASET--CODE.parquet.

    Args:
        experiment: names root, dataset and suite.
        command: name of the folder, that of the command which writes the table.
        code: hash of everything that determines the table, so that configurations never overwrite each other; see
            `code_of`.
        title: which of a command's tables it is.
    """
    folder = experiment.root / command / experiment.dataset_folder.name
    return folder / f"{title}{'--' * bool(title)}{slug(experiment.name)}--{code}.parquet"


def stored_table(kind: type[AnyTable], path: Path, title: str, command: str) -> AnyTable:
    """The table in a file.

    Args:
        kind: of the table.
        path: its file, from `table_path`.
        title: what it holds, for the message.
        command: writes it.

    Raises:
        NotRunError: there is no such file; the message says which command writes it.
        StoreError: it is damaged, or another table.
    """
    if not path.is_file():
        raise NotRunError(f"no {title} at {path}. Run `platorep {command}` with the same settings first.")
    return kind.load([path])
