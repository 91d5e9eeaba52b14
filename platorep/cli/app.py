"""The command line. Loads neither torch nor Hydra: `platorep --help` answers at once.

Every command passes its arguments to Hydra, so `group=choice`, `key=value`, `+key=value`, `~key`, `-m`, `--cfg job`,
`--config-dir` and `--help` work everywhere as Hydra documents them.
"""

from __future__ import annotations

import typer

from platorep.cli.commands import COMMANDS, HOUSEKEEPING, Command
from platorep.cli.store import store
from platorep.cli.table import table
from platorep.core.version import __version__


PASS_TO_HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="platorep",
    help="Measure how alike neural networks represent the world.",
    epilog="Every command takes Hydra overrides (suite=prh, dataset=wit_1024, models.mine.id=...), -m for sweeps, "
    "--cfg job to print the configuration, -q and -v for less or more output, and --help for its settings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _add(name: str, command: Command) -> None:
    def body(ctx: typer.Context) -> None:
        from platorep.cli.launch import launch

        launch(name, ctx.args)

    register = app.command(
        name,
        help=command.summary,
        short_help=command.summary,
        rich_help_panel=command.panel,
        context_settings=PASS_TO_HYDRA,
    )
    register(body)


for _name, _command in COMMANDS.items():
    _add(_name, _command)
app.command("table", rich_help_panel=HOUSEKEEPING)(table)
app.add_typer(store, name="store", rich_help_panel=HOUSEKEEPING)


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
            end_now(int(end.code))
        raise
