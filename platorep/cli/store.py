"""The commands of `platorep store`. They take typer's options instead of Hydra's overrides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


store = typer.Typer(help="Verify, repair, import, export and remove stored features.", no_args_is_help=True)

Root = typer.Option(Path("outputs"), "--root", help="The folder that holds features/.")


@store.command()
def verify(
    pattern: str = typer.Argument("*", help="Model, or DATASET/MODEL; * and ? match."), root: Path = Root
) -> None:
    """Check every stored byte against the manifests and list the damaged files."""
    from platorep.commands import store as storage

    with _errors():
        damaged = False
        for result in storage.verify(storage.store_at(root), pattern):
            damaged |= bool(result.faults)
            for line in [fault.text for fault in result.faults] or ["; ".join(["whole", *result.notes])]:
                typer.echo(f"{result.path.parent.name}/{result.path.name}: {line}")
        raise typer.Exit(damaged)


@store.command()
def repair(
    pattern: str = typer.Argument("*", help="Model, or DATASET/MODEL; * and ? match."), root: Path = Root
) -> None:
    """Verify, and extract damaged shards again from the spec in their manifest."""
    from platorep.commands import store as storage

    with _errors():
        left = False
        for result in storage.repair(storage.store_at(root), pattern):
            left |= not result.whole
            typer.echo(f"{result.path.parent.name}/{result.path.name}: {result.text}")
        raise typer.Exit(left)


@store.command("import")
def import_(
    file: Path = typer.Argument(help=".npy, .npz, .safetensors, .parquet or .pt with arrays (samples, width)."),
    name: str = typer.Option(..., help="Name of the model."),
    modality: str = typer.Option(..., help="vision, language, audio, brain, ..."),
    dataset: str = typer.Option(..., help="Name of a stored dataset, or of a new one."),
    family: str = typer.Option("", help="Models of one family are not statistically independent."),
    ids: Path = typer.Option(None, help="Sample ids in row order, one per line or a JSON list, if the file has none."),
    matrix: bool = typer.Option(
        False,
        "--matrix",
        help="The file holds dissimilarities of all samples (.npy, .npz, .mat, .csv, ...) instead of features.",
    ),
    root: Path = Root,
) -> None:
    """Store features of your own, or a matrix of dissimilarities, next to the extracted ones."""
    from platorep.commands import store as storage
    from platorep.extract.imports import store_import, store_import_matrix

    with _errors():
        at = storage.store_at(root)
        spec = storage.dataset_named(at, dataset)
        run = store_import_matrix if matrix else store_import
        typer.echo(run(file, store=at, dataset=spec, name=name, modality=modality, family=family, ids=ids).path)


@store.command()
def export(
    pattern: str = typer.Argument(help="Model, or DATASET/MODEL."),
    out: Path = typer.Argument(help="A name that ends in .safetensors or .npz."),
    root: Path = Root,
) -> None:
    """Write the layers of one model to one file."""
    from platorep.commands import store as storage

    with _errors():
        typer.echo(storage.export(storage.store_at(root), pattern, out))


@store.command()
def rm(
    pattern: str = typer.Argument(help="Model, or DATASET/MODEL; * and ? match."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    root: Path = Root,
) -> None:
    """Remove stored features."""
    from platorep.commands import store as storage

    with _errors():
        at = storage.store_at(root)
        at.tidy()
        for extraction in storage.matching(at, pattern):
            if yes or typer.confirm(f"Remove {extraction.path}?"):
                at.remove(extraction)


@contextmanager
def _errors() -> Iterator[None]:
    """Ends the command with a message and exit code 1 if an error occurs that a user can fix."""
    from platorep.core.errors import PlatorepError

    try:
        yield
    except PlatorepError as error:
        overrides = [word for word in sys.argv[2:] if "=" in word and not word.startswith("-")]
        hint = f" (`store` takes options, not Hydra's words: --root PATH, not {overrides[0]})" if overrides else ""
        sys.exit(f"platorep store: {error}{hint}")
