"""The command line. Loads neither torch nor Hydra: `platorep --help` answers at once.

Every command hands its words to Hydra, so `group=choice`, `key=value`, `+key=value`, `~key`, `-m`, `--cfg job`,
`--config-dir` and `--help` work everywhere as Hydra documents them.
"""

from __future__ import annotations

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
_command("plot", "Draw figures from stored scores.")
_command("reproduce", "One figure of the paper, its data, and measured against published values: platorep reproduce fig3 offline=true.")
_command("report", "Write one HTML page of the run: figures, statistics, warnings, provenance, and an explorer of neighbours.")
_command("ls", "List suites, datasets, models, metrics, figures or stored features: platorep ls models suite=prh.")
_command("doctor", "Say what would run, how large it is and what is missing, before anything is fetched.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    app()
