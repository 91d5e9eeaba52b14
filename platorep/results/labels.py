"""Names for readers: metrics, datasets, doses, numbers of parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from platorep.core.errors import StoreError
from platorep.results.facts import Dose
from platorep.results.protocols import described


TITLES = {
    "mutual_knn": "mutual k-NN",
    "cycle_knn": "cycle k-NN",
    "lcs_knn": "LCS k-NN",
    "edit_distance_knn": "edit k-NN",
    "jaccard_knn": "Jaccard k-NN",
    "cka": "CKA",
    "cka_finite": "CKA, finite features",
    "cknna": "CKNNA",
    "cknna_prh": "CKNNA as released",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "rsa": "RSA",
    "procrustes": "Procrustes",
    "distance_correlation": "distance correlation",
    "information_imbalance": "information balance",
}

_UNSAID = {
    "similarity=cosine",
    "kernel=linear",
    "sigma=median",
    "normalised=True",
    "direction=xy",
    "components=10",
}
"""Parameters that labels leave out."""

_BARE = {"hsic", "estimator", "direction", "kernel", "correlation", "similarity"}
"""Parameters whose values need no name."""

DIAL_TITLES = {"weight_noise": "weight noise (SDs of each matrix)", "input_size": "input size (pixels)"}


def metric_parameters(metric: str) -> tuple[str, dict[str, str]]:
    """Name and parameters of a metric's id: "cka(hsic=unbiased)" gives ("cka", {"hsic": "unbiased"})."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", metric)
    if match is None:
        raise StoreError(f"{metric!r} is not a metric's id; expected name(parameter=value,...).")
    settings = [word.partition("=") for word in (match[2] or "").split(",") if word]
    return match[1], {key.strip(): value.strip() for key, _, value in settings}


def metric_label(metric: str) -> str:
    """A metric's id for readers, common parameters left out: "mutual k-NN (k = 10)", "CKA (unbiased)"."""
    name, parameters = metric_parameters(metric)
    shown = {key: value for key, value in parameters.items() if f"{key}={value}" not in _UNSAID and key != "code"}
    parts = [value if key in _BARE else f"{key} = {value}" for key, value in shown.items()]
    return TITLES.get(name, name.replace("_", " ")) + (f" ({', '.join(parts)})" if parts else "")


def find_metrics(available: Iterable[str], name: str, **parameters: str) -> list[str]:
    """Ids of one metric whose parameters include the given ones, sorted by k."""
    ids = []
    for metric in available:
        its_name, its_parameters = metric_parameters(metric)
        if its_name == name and all(its_parameters.get(key) == value for key, value in parameters.items()):
            ids.append(metric)
    return sorted(ids, key=lambda metric: int(metric_parameters(metric)[1].get("k", 0)))


def title_of(dataset: str) -> str:
    """A dataset's name without its key."""
    return dataset.split("--")[0]


def setting(rows: pd.DataFrame) -> str:
    """How the layers of some chosen pairs were chosen, and on what: "best layer pair, n = 700, stamps"."""
    datasets = ", ".join(dict.fromkeys(title_of(name) for name in rows.dataset))
    if len(datasets) > 60:
        datasets = f"{rows.dataset.nunique()} datasets"
    sizes = f"n = {rows.n.iloc[0]:,}, " if rows.n.nunique() == 1 else ""
    return f"{described(rows['select'].iloc[0])}, {sizes}{datasets}"


def capitalised(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def dose_label(dose: Dose) -> str:
    """A degraded model's name next to that of the intact one: "noise 0.2", "64 px"."""
    labels = {"weight_noise": f"noise {dose.value:g}", "input_size": f"{dose.value:g} px"}
    return labels.get(dose.dial, f"{dose.dial.replace('_', ' ')} {dose.value:g}")


def model_labels(models: Sequence[str], degraded: Mapping[str, Dose]) -> list[str]:
    """Labels for the models of one axis: a degraded model by its dose, with its base where there are several bases."""
    bases = {degraded[m].base for m in models if m in degraded}

    def label(model: str) -> str:
        if model not in degraded:
            return model
        dose = degraded[model]
        return dose_label(dose) if len(bases) == 1 else f"{dose.base}, {dose_label(dose)}"

    return [label(model) for model in models]


def distinct(names: Sequence[str]) -> list[str]:
    """Names without the words that they all share: vit_small.mae, vit_base.mae give small, base."""
    split = [re.findall(r"[^_\W]+(?:\.\d+)?", name) for name in names]
    shared = set.intersection(*map(set, split)) if len(names) > 1 else set()
    short = [" ".join(word for word in words if word not in shared) for words in split]
    return short if all(short) and len(set(short)) == len(names) else list(names)


def count_label(count: float) -> str:
    """A number of parameters with two or three digits: 974, 45 k, 4.7 M, 135 M, 7 B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            value = count / size
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.2g} {unit}"
    return f"{count:.0f}"
