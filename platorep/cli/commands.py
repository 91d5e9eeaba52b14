"""The commands, one entry each. The function of a command is `platorep.commands.NAME.NAME`."""

from __future__ import annotations

from typing import Literal, NamedTuple


EXPERIMENT, BEYOND, THEORY, HOUSEKEEPING = "The experiment", "Beyond the kernel", "Theory", "Housekeeping"


class Command(NamedTuple):
    """Facts about a command that the command line uses.

    Attributes:
        panel: its group in the help.
        summary: one line about it.
        pairs: whether it may fetch the pairs of the run, works with stored pairs, or uses none.
        writes: whether it writes anything.
    """

    panel: str
    summary: str
    pairs: Literal["fetched", "stored", "unused"] = "stored"
    writes: bool = True


COMMANDS = {
    "run": Command(EXPERIMENT, "Extract, measure competence, align and plot: the whole experiment.", "fetched"),
    "extract": Command(EXPERIMENT, "Run models over a dataset and store pooled features of every layer.", "fetched"),
    "competence": Command(
        EXPERIMENT, "Measure bits per byte of a corpus and linear probes, and import the scores of others."
    ),
    "align": Command(EXPERIMENT, "Score every layer of every model against every other, from stored features."),
    "gallery": Command(EXPERIMENT, "Score the same queries in growing galleries of samples."),
    "plot": Command(EXPERIMENT, "Draw figures from stored scores."),
    "report": Command(EXPERIMENT, "Write one HTML page: figures, statistics, warnings, provenance, neighbours."),
    "reproduce": Command(
        EXPERIMENT,
        "Draw a figure of the paper and compare it with published values: reproduce fig3 offline=true.",
        "fetched",
    ),
    "captions": Command(EXPERIMENT, "Summarise a dataset's captions to given lengths with a local model.", "fetched"),
    "translate": Command(
        BEYOND, "Fit maps between models on paired samples, from stored features, and test what they carry."
    ),
    "units": Command(
        BEYOND, "Match single units of models by their correlations, from stored features: Rosetta neurons."
    ),
    "basin": Command(
        BEYOND, "Join networks trained here by lines of weights, before and after matching of units.", "unused"
    ),
    "stitch": Command(
        BEYOND, "Put layers of one trained network in the place of layers of another, with controls.", "unused"
    ),
    "neighbours": Command(BEYOND, 'List the stored samples nearest to a text or a picture: neighbours "a violin".'),
    "simulate": Command(
        THEORY, "Run experiments on synthetic worlds with a known answer: simulate gram, or all.", "unused"
    ),
    "ls": Command(
        HOUSEKEEPING,
        "List suites, datasets, models, metrics, figures, experiments, stored features or runs.",
        "unused",
        writes=False,
    ),
    "doctor": Command(
        HOUSEKEEPING,
        "Show what would run, how large it is and what is missing, before anything is fetched.",
        "unused",
        writes=False,
    ),
}
"""Commands by name, in the order of the help."""
