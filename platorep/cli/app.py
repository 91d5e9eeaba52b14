"""The command line. Loads neither torch nor Hydra: `platorep --help` answers at once.

Every command hands its words to Hydra, so `group=choice`, `key=value`, `+key=value`, `~key`, `-m`, `--cfg job`,
`--config-dir` and `--help` work everywhere as Hydra documents them.
"""

from __future__ import annotations

import typer

from platorep.cli.store import store
from platorep.cli.table import table
from platorep.core.version import __version__


PASS_TO_HYDRA = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

EXPERIMENT, BEYOND = "The experiment", "Beyond the kernel"
THEORY, HOUSEKEEPING = "Theory", "Housekeeping"

COMMANDS = {
    "run": (EXPERIMENT, "Extract, measure competence, align and plot: the whole experiment."),
    "extract": (EXPERIMENT, "Run models over a dataset and store pooled features of every layer."),
    "competence": (EXPERIMENT, "Measure bits per byte of a corpus and linear probes, and import the scores of others."),
    "align": (EXPERIMENT, "Score every layer of every model against every other, from stored features."),
    "gallery": (EXPERIMENT, "Score the same queries in growing galleries of samples."),
    "plot": (EXPERIMENT, "Draw figures from stored scores."),
    "report": (EXPERIMENT, "Write one HTML page: figures, statistics, warnings, provenance, neighbours."),
    "reproduce": (
        EXPERIMENT,
        "Draw a figure of the paper and compare it with published values: reproduce fig3 offline=true.",
    ),
    "captions": (EXPERIMENT, "Summarise a dataset's captions to given lengths with a local model."),
    "translate": (BEYOND, "Fit maps between models on paired samples, from stored features, and test what they carry."),
    "simulate": (THEORY, "Run experiments on synthetic worlds with a known answer: simulate gram, or all."),
    "ls": (HOUSEKEEPING, "List suites, datasets, models, metrics, figures, experiments, stored features or runs."),
    "doctor": (HOUSEKEEPING, "Show what would run, how large it is and what is missing, before anything is fetched."),
}
"""Each command with its group in the help and one line about it."""

app = typer.Typer(
    name="platorep",
    help="Measure how alike neural networks represent the world.",
    epilog="Every command takes Hydra overrides (suite=prh, dataset=wit_1024, models.mine.id=...), -m for sweeps, "
    "--cfg job to print the configuration, -q and -v for less or more output, and --help for its settings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _add(name: str, panel: str, summary: str) -> None:
    def body(ctx: typer.Context) -> None:
        from platorep.cli.launch import launch

        launch(name, ctx.args)

    register = app.command(
        name, help=summary, short_help=summary, rich_help_panel=panel, context_settings=PASS_TO_HYDRA
    )
    register(body)


for _name, (_panel, _summary) in COMMANDS.items():
    _add(_name, _panel, _summary)
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
