"""The command line. Loads neither torch nor Hydra: `platorep --help` answers at once.

Every command hands its words to Hydra, so `group=choice`, `key=value`, `+key=value`, `~key`, `-m`, `--cfg job`,
`--config-dir` and `--help` work everywhere as Hydra documents them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from platorep import __version__


PASS_TO_HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="platorep",
    help="Measure how alike neural networks represent the world.",
    epilog="Every command takes Hydra overrides (suite=prh, dataset=wit_1024, +models.mine.id=...), -m for sweeps, "
    "--cfg job to see the configuration, and --help for its groups.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _command(task: str, summary: str) -> None:
    def body(ctx: typer.Context) -> None:
        from platorep.launch import launch

        launch(task, ctx.args)

    app.command(task, help=summary, short_help=summary, context_settings=PASS_TO_HYDRA)(body)


_command("run", "Extract, measure competence, align and plot: the whole experiment (suite=offline dataset=stamps).")
_command("extract", "Run models over a dataset and store pooled features of every layer.")
_command("align", "Score every layer of every model against every other, from stored features.")
_command(
    "gallery",
    "Search the same queries in growing galleries: gallery.sizes=[1024,4096,16384] gallery.queries=1024 shard=0/4.",
)
_command(
    "competence", "Bits per byte of a corpus, linear probes, and scores of others: corpus=, probe=, scores=[FILE]."
)
_command("plot", "Draw figures from stored scores.")
_command(
    "captions",
    "Summarise a dataset's captions to 5, 10, 20 and 30 words with a local model, as a dataset: captions=smollm2_135m.",
)
_command(
    "reproduce",
    "One figure of the paper, its data, and measured against published values: platorep reproduce fig3 offline=true.",
)
_command("simulate", "Worlds whose answer is known: platorep simulate gram, or all.")
_command(
    "report",
    "Write one HTML page of the run: figures, statistics, warnings, provenance, and an explorer of neighbours.",
)
_command("ls", "List suites, datasets, models, metrics, figures or stored features: platorep ls models suite=prh.")
_command("doctor", "Say what would run, how large it is and what is missing, before anything is fetched.")


store = typer.Typer(help="Verify, repair, import, export and remove stored features.", no_args_is_help=True)
app.add_typer(store, name="store")

Root = typer.Option(Path("outputs"), "--root", help="The folder that holds features/.")


@store.command()
def verify(
    pattern: str = typer.Argument("*", help="Model, or DATASET/MODEL; * and ? match."), root: Path = Root
) -> None:
    """Read every byte and compare it with the manifests; name all that is damaged."""
    from platorep import storage

    with _errors():
        damaged = False
        for result in storage.verify(storage.store_at(root), pattern):
            damaged |= bool(result.faults)
            for word in [fault.text for fault in result.faults] or ["; ".join(["whole", *result.notes])]:
                typer.echo(f"{result.path.parent.name}/{result.path.name}: {word}")
        raise typer.Exit(damaged)


@store.command()
def repair(
    pattern: str = typer.Argument("*", help="Model, or DATASET/MODEL; * and ? match."), root: Path = Root
) -> None:
    """Verify, and make again what is damaged: only those shards, from the spec in their manifest."""
    from platorep import storage

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
    family: str = typer.Option("", help="Models of one family are no independent witnesses."),
    ids: Path = typer.Option(
        None, help="Sample ids in row order, one a line or a JSON list, where the file holds none."
    ),
    root: Path = Root,
) -> None:
    """Put features of your own beside the extracted ones."""
    from platorep import storage
    from platorep.imports import store_import

    with _errors():
        at = storage.store_at(root)
        spec = storage.dataset_named(at, dataset)
        typer.echo(
            store_import(file, store=at, dataset=spec, name=name, modality=modality, family=family, ids=ids).path
        )


@store.command()
def export(
    pattern: str = typer.Argument(help="Model, or DATASET/MODEL."),
    out: Path = typer.Argument(help="A name that ends in .safetensors or .npz."),
    root: Path = Root,
) -> None:
    """Write the layers of one model to one file."""
    from platorep import storage

    with _errors():
        typer.echo(storage.export(storage.store_at(root), pattern, out))


@store.command()
def rm(
    pattern: str = typer.Argument(help="Model, or DATASET/MODEL; * and ? match."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    root: Path = Root,
) -> None:
    """Remove stored features."""
    from platorep import storage

    with _errors():
        at = storage.store_at(root)
        at.tidy()
        for one in storage.found(at, pattern):
            if yes or typer.confirm(f"Remove {one.path}?"):
                at.remove(one)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors that a user can mend end the command with their message and code 1."""
    from platorep.core.errors import PlatorepError

    try:
        yield
    except PlatorepError as error:
        words = [word for word in sys.argv[2:] if "=" in word and not word.startswith("-")]
        hint = f" (`store` takes options, not Hydra's words: --root PATH, not {words[0]})" if words else ""
        sys.exit(f"platorep store: {error}{hint}")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    from platorep.core.interrupts import INTERRUPTED, end_now

    try:
        app()
    except SystemExit as end:
        if end.code in INTERRUPTED:
            end_now(end.code)
        raise
