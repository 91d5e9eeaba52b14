"""Views of the tables that several figures share: one metric, one dataset, one row a pair of models; names for readers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.results.tables import AlignmentTable, CompetenceTable


PAPER_METRIC = "mutual_knn(k=10,similarity=cosine)"
"""The metric of the paper's figures: drawn when a table holds several and none is named."""

TITLES = {
    "mutual_knn": "mutual k-NN",
    "cycle_knn": "cycle k-NN",
    "lcs_knn": "LCS k-NN",
    "edit_distance_knn": "edit k-NN",
    "jaccard_knn": "Jaccard k-NN",
    "cka": "CKA",
    "cknna": "CKNNA",
    "cknna_prh": "CKNNA as released",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "rsa": "RSA",
    "procrustes": "Procrustes",
    "distance_correlation": "distance correlation",
}
_SILENT = {
    "similarity=cosine",
    "kernel=linear",
    "sigma=median",
    "normalised=True",
    "direction=xy",
    "components=10",
}  # taken for granted
_BARE = {
    "hsic",
    "estimator",
    "direction",
    "kernel",
    "correlation",
    "similarity",
}  # parameters whose values speak for themselves

WORDS = r"words?[_-]?(\d+)|(\d+)[_-]?words?"
"""The caption length in the name of a dataset."""
SHARES = r"shuffled?[_-]?(\d*\.?\d+)"
"""The share of shuffled pairs in the name of a dataset."""


class Dose(NamedTuple):
    """How a model was degraded: of which model it is a variant, by which dial, how far. The intact model has none."""

    base: str
    dial: str
    value: float


DIAL_TITLES = {"weight_noise": "weight noise (standard deviations of each matrix)", "input_size": "input size (pixels)"}


def doses(models: Iterable[str]) -> dict[str, Dose]:
    """Doses read from the suites' names of degraded models; other models are left out.

    NAME_noise_0.2 and NAME_noise20 (percent) are weight noise 0.2; NAME_px_64 and NAME_064px are an input size of 64.
    """
    found = {}
    for model in models:
        if match := re.fullmatch(r"(.+)_noise_?(\d*\.?\d+)", model):
            found[model] = Dose(match[1], "weight_noise", float(match[2]) / (1 if "." in match[2] else 100))
        elif match := re.fullmatch(r"(.+)_(?:px_?(\d+)|(\d+)px)", model):
            found[model] = Dose(match[1], "input_size", float(match[2] or match[3]))
    return found


def dose_label(dose: Dose) -> str:
    """What a degraded model is called beside its intact one: "noise 0.2", "64 px"."""
    words = {"weight_noise": f"noise {dose.value:g}", "input_size": f"{dose.value:g} px"}
    return words.get(dose.dial, f"{dose.dial.replace('_', ' ')} {dose.value:g}")


def metric_parameters(metric: str) -> tuple[str, dict[str, str]]:
    """Name and parameters of a metric's id: "cka(hsic=unbiased,kernel=linear)" gives ("cka", {"hsic": ..., "kernel": ...})."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", metric)
    if match is None:
        raise StoreError(f"{metric!r} is not a metric's id; expected name(parameter=value,...).")
    words = [word.partition("=") for word in (match[2] or "").split(",") if word]
    return match[1], {key.strip(): value.strip() for key, _, value in words}


def metric_label(metric: str) -> str:
    """A metric's id for readers: "mutual k-NN (k = 10)", "CKA (unbiased)"; cosine similarity, linear kernels go without saying."""
    name, parameters = metric_parameters(metric)
    told = {key: value for key, value in parameters.items() if f"{key}={value}" not in _SILENT}
    shown = [value if key in _BARE else f"{key} = {value}" for key, value in told.items()]
    return TITLES.get(name, name.replace("_", " ")) + (f" ({', '.join(shown)})" if shown else "")


def find_metrics(available: Iterable[str], name: str, **parameters: str) -> list[str]:
    """Ids of one metric whose parameters include those given, by growing k where there is one."""
    found = []
    for metric in available:
        its_name, its = metric_parameters(metric)
        if its_name == name and all(its.get(key) == value for key, value in parameters.items()):
            found.append(metric)
    return sorted(found, key=lambda metric: int(metric_parameters(metric)[1].get("k", 0)))


def pick_metric(available: Sequence[str], metric: str | None) -> str:
    """The metric to draw: the one named, the only one, or the paper's.

    Raises:
        UnknownNameError: the one named is not in the table.
        StoreError: several are there, none is named, and the paper's is not among them.
    """
    if metric is not None:
        if metric not in available:
            raise unknown_name("metric in the alignment table", metric, available)
        return metric
    if len(available) == 1:
        return available[0]
    if PAPER_METRIC in available:
        return PAPER_METRIC
    raise StoreError(
        f"the alignment table holds {len(available)} metrics ({', '.join(available)}): name one, metric=..."
    )


def pick_dataset(available: Sequence[str], dataset: str | None) -> str:
    """The dataset to draw: the one named (with or without its key), or the only one.

    Raises:
        UnknownNameError: the one named is not in the table.
        StoreError: several are there and none is named.
    """
    if dataset is not None:
        near = [name for name in available if name == dataset or name.split("--")[0] == dataset]
        if len(near) == 1:
            return near[0]
        raise unknown_name("dataset in the alignment table", dataset, available)
    if len(available) == 1:
        return available[0]
    raise StoreError(
        f"the alignment table holds {len(available)} datasets ({', '.join(available)}): name one, dataset=..."
    )


def rows(alignment: AlignmentTable, metric: str | None, dataset: str | None) -> AlignmentTable:
    """The rows of one metric on one dataset, all layer pairs kept.

    Raises:
        StoreError: the table is empty or what to draw is ambiguous.
        UnknownNameError: a metric or dataset that is not in the table.
    """
    frame = alignment.frame
    if frame.empty:
        raise StoreError("the alignment table is empty: run `platorep align` first.")
    frame = frame[frame.metric == pick_metric(list(frame.metric.unique()), metric)]
    frame = frame[frame.dataset == pick_dataset(list(frame.dataset.unique()), dataset)]
    return AlignmentTable(frame)


def best_pairs(alignment: AlignmentTable, metric: str | None = None, dataset: str | None = None) -> pd.DataFrame:
    """One row a pair of models: the best layer pair under one metric on one dataset.

    Raises:
        StoreError: a pair occurs twice, under two clipping rules or two keys of one model's name.
    """
    best = rows(alignment, metric, dataset).best()
    twice = best[best.duplicated(["x_model", "y_model"], keep=False)]
    if not twice.empty:
        pair = twice[(twice.x_model == twice.x_model.iloc[0]) & (twice.y_model == twice.y_model.iloc[0])]
        differs = [c for c in ("clip", "x_key", "y_key", "n") if pair[c].nunique() > 1]
        raise StoreError(
            f"{pair.x_model.iloc[0]} x {pair.y_model.iloc[0]} occurs {len(pair)} times in the alignment table, "
            f"with different {', '.join(differs) or 'rows'}: keep the rows of one run."
        )
    return best


def cross_modal(best: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a language and a vision model, whichever side they are on: columns language, vision, their families, score, n, metric.

    Raises:
        StoreError: there is no such pair.
    """
    sides = []
    for a, b in (("x", "y"), ("y", "x")):
        part = best[(best[f"{a}_modality"] == "language") & (best[f"{b}_modality"] == "vision")]
        names = {
            f"{a}_model": "language",
            f"{a}_family": "language_family",
            f"{b}_model": "vision",
            f"{b}_family": "vision_family",
        }
        sides.append(
            part.rename(columns=names)[
                [*names.values(), "dataset", "metric", "n", "score", "null_mean", "null_sd", "corrected"]
            ]
        )
    pairs = pd.concat(sides, ignore_index=True).drop_duplicates(["dataset", "metric", "n", "language", "vision"])
    if pairs.empty:
        found = sorted({f"{x} x {y}" for x, y in zip(best.x_modality, best.y_modality, strict=True)})
        raise StoreError(
            f"the figure shows language against vision models; the alignment table has only {', '.join(found)}."
        )
    return pairs


def within(best: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Symmetric matrix of scores between different models of one modality; NaN where not scored, the mean where both orders were.

    Raises:
        StoreError: fewer than two such models.
    """
    part = best[(best.x_modality == modality) & (best.y_modality == modality) & (best.x_model != best.y_model)]
    models = list(dict.fromkeys([*part.x_model, *part.y_model]))
    if len(models) < 2:
        raise StoreError(
            f"the figure compares {modality} models with each other; the alignment table has no such pair."
        )
    both = pd.concat([part, part.rename(columns={"x_model": "y_model", "y_model": "x_model"})])
    return both.pivot_table(index="x_model", columns="y_model", values="score").reindex(index=models, columns=models)


def by_dataset(
    alignment: AlignmentTable, metric: str | None, dial: Mapping[str, float] | None, pattern: str
) -> pd.DataFrame:
    """Language x vision pairs of several datasets that differ by a dial: `cross_modal` rows with a column dial.

    Args:
        alignment: one metric's rows or several's.
        metric: full id, when the table holds several.
        dial: dataset (with or without key) -> value; other datasets are left out. By default it is read from the names.
        pattern: regular expression whose first group that matches is the value, for reading it from a dataset's name.

    Raises:
        StoreError: no dataset has a value.
    """
    found = []
    for dataset in alignment.frame.dataset.unique():
        name = dataset.split("--")[0]
        if dial is not None:
            value = dial.get(dataset, dial.get(name))
        else:
            match = re.search(pattern, name)
            value = float(next(g for g in match.groups() if g)) if match else None
        if value is not None:
            found.append(cross_modal(best_pairs(alignment, metric, dataset)).assign(dial=float(value)))
    if not found:
        names = ", ".join(alignment.frame.dataset.unique()) or "none"
        raise StoreError(
            f"no dataset of the alignment table has a value on the figure's dial: name them as an option; datasets: {names}."
        )
    return pd.concat(found, ignore_index=True)


def vision_groups(pairs: pd.DataFrame, degraded: Mapping[str, Dose]) -> dict[str, list[str]]:
    """Vision models a panel, by title: families, ladders of degraded models each closed by its base, lone models together."""
    models = pairs.drop_duplicates("vision").set_index("vision").vision_family
    families: dict[str, list[str]] = {}
    ladders: dict[str, list[str]] = {}
    for model, family in models.items():
        if model in degraded and degraded[model].base != model:
            dose = degraded[model]
            ladders.setdefault(f"{dose.base} by {dose.dial.replace('_', ' ')}", []).append(model)
        else:
            families.setdefault(family or model, []).append(model)
    lone = {family: families.pop(family) for family in [f for f, members in families.items() if len(members) == 1]}
    bases = {degraded[members[0]].base for members in ladders.values()}
    lone = {
        family: members for family, members in lone.items() if members[0] not in bases
    }  # it closes its ladder's panel
    for title, members in ladders.items():
        base, dial = degraded[members[0]].base, degraded[members[0]].dial
        members.sort(key=lambda m: degraded[m].value, reverse=dial == "weight_noise")  # weakest first
        families[title] = [*members, base] if base in models.index else members
    return families | (
        lone if len(lone) < 2 else {"other vision models": [m for members in lone.values() for m in members]}
    )


def captions(members: Sequence[str], degraded: Mapping[str, Dose]) -> list[str]:
    """Names of a panel's vision models: doses in a ladder, else the words that tell the family's models apart."""
    if any(m in degraded and degraded[m].base != m for m in members):
        return [dose_label(degraded[m]) if m in degraded and degraded[m].base != m else "intact" for m in members]
    return distinct(members)


def title_of(dataset: str) -> str:
    """A dataset's name without its key."""
    return dataset.split("--")[0]


def measure(competence: CompetenceTable | None, name: str, task: str | None = None) -> pd.Series:
    """Values of one competence measure by model, NaN left out.

    Raises:
        UnknownNameError: the table has no such measure or task.
        StoreError: there is no table, or a model has several values and no task is named.
    """
    if competence is None:
        raise StoreError(f"the figure needs {name} by model, and there is no competence table.")
    frame = competence.frame
    if name not in set(frame.measure):
        raise unknown_name("measure in the competence table", name, frame.measure.unique())
    frame = frame[(frame.measure == name) & frame.value.notna()]
    if task is not None:
        if task not in set(frame.task):
            raise unknown_name(f"task of {name}", task, frame.task.unique())
        frame = frame[frame.task == task]
    if frame.model.duplicated().any():
        model = frame.model[frame.model.duplicated()].iloc[0]
        raise StoreError(
            f"{model} has several values of {name}, for {', '.join(map(repr, frame.task.unique()))}: name one, task=..."
        )
    return frame.set_index("model")["value"]


def chance(pairs: pd.DataFrame) -> float | None:
    """Score that unrelated features reach on average: k/(n - 1) for mutual k-NN, else the null mean if all pairs share one."""
    name, parameters = metric_parameters(pairs.metric.iloc[0])
    if name == "mutual_knn" and pairs.n.nunique() == 1:
        return int(parameters["k"]) / (int(pairs.n.iloc[0]) - 1)
    means = pairs.null_mean
    return float(means.mean()) if means.notna().all() and means.max() - means.min() < 1e-3 else None


def distinct(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them share: vit_small.mae, vit_base.mae give small, base."""
    split = [re.findall(r"[^_\W]+(?:\.\d+)?", name) for name in names]
    shared = set.intersection(*map(set, split)) if len(names) > 1 else set()
    short = [" ".join(word for word in words if word not in shared) for words in split]
    return short if all(short) and len(set(short)) == len(names) else list(names)


def named(models: Sequence[str], degraded: Mapping[str, Dose]) -> list[str]:
    """Labels for models of one figure: a degraded model is called by its dose, with its base if there are several bases."""
    bases = {degraded[m].base for m in models if m in degraded}
    return [
        m
        if m not in degraded
        else dose_label(degraded[m])
        if len(bases) == 1
        else f"{degraded[m].base}, {dose_label(degraded[m])}"
        for m in models
    ]


def untrained(alignment: AlignmentTable) -> list[str]:
    """Models of the family "random": architectures with initial weights."""
    frame = alignment.frame
    return sorted({*frame.x_model[frame.x_family == "random"], *frame.y_model[frame.y_family == "random"]})
