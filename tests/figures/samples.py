"""One sample of every figure, on tables made by rule: what the baseline images show and the layout tests look at.

A figure that has a test file of its own, test_NAME.py, can have its sample there: a function `sample(style)`.

python -m tests.figures.samples NAME     draws the baseline image of a figure; look at it before keeping it
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from platorep.figures import known
from platorep.figures.data import Plot
from platorep.figures.style import PlotStyle
from platorep.results.brains import BrainTable
from platorep.results.tables import AlignmentTable
from tests.figures.tables import (
    METRIC,
    alignment,
    competence,
    cross,
    galleries,
    noise,
    plot,
    selection,
    smaller,
    translations,
    unit_shares,
)


BASELINES = Path(__file__).parent / "baseline"
DPI = 60

LANGUAGE = {  # name: (family, bits per byte, how good)
    "bloom-560m": ("bloom", 1.40, 0.30),
    "bloom-7b": ("bloom", 1.30, 0.45),
    "llama-7b": ("llama", 1.05, 0.75),
    "llama-65b": ("llama", 0.95, 0.95),
    "olmo-1b": ("olmo", 1.25, 0.40),
    "lm": ("lm", 1.10, 0.70),
    "lm_noise_0.2": ("lm", 1.60, 0.20),
    "gemma": ("gemma", 1.15, 0.60),
    "glove": ("glove", None, 0.60),
}
VISION = {
    "vit_small.dino": ("DINO", 0.6),
    "vit_base.dino": ("DINO", 0.8),
    "vit_large.dino": ("DINO", 1.0),
    "mae_base": ("MAE", 0.3),
    "mae_large": ("MAE", 0.4),
    "net_064px": ("net", 0.35),
    "net_128px": ("net", 0.6),
    "net": ("net", 0.7),
    "pixels": ("pixels", 0.1),
}
FAMILIES = {name: row[0] for name, row in {**LANGUAGE, **VISION}.items()}
FACTS = {"lm_noise_0.2": noise("lm", 0.2), "net_064px": smaller("net", 64), "net_128px": smaller("net", 128)}


def models(scale: float = 1.0, **more: object) -> AlignmentTable:
    """Language x vision: scores rise with how good both are, from chance."""
    scores = {
        (a, b): 0.01 + scale * 0.19 * good * better
        for a, (_, _, good) in LANGUAGE.items()
        for b, (_, better) in VISION.items()
    }
    return cross(scores, FAMILIES, FACTS, **({"n": 1001, "null_mean": 0.01, "null_sd": 0.0013} | more))


def measured():
    known = {name: row for name, row in LANGUAGE.items() if row[1] is not None}
    return competence(
        {
            "bits_per_byte": {name: row[1] for name, row in known.items()},
            "parameters": {name: 10 ** (8.5 + 2 * row[2]) for name, row in known.items()},
            "hellaswag": {name: 0.3 + 0.5 * row[2] + 0.01 * (len(name) % 3) for name, row in known.items()},
            "gsm8k": {name: 0.8 * row[2] ** 4 for name, row in known.items()},
        }
    )


def vision(count: int = 12, metric: str = METRIC, power: float = 1.0, **more: object) -> AlignmentTable:
    """Vision x vision: model i is i / (count - 1) good; good ones agree, weak ones agree with nobody."""
    rows = []
    for i in range(count):
        for j in range(i):
            good = i * j / (count - 1) ** 2
            score = 0.02 + 0.5 * good**power + 0.02 * ((7 * i + 3 * j) % 5) / 5
            kinds = {"x_family": "net" if i % 2 else "vit", "y_family": "net" if j % 2 else "vit"}
            pair = {"x_model": f"v{i:02d}", "y_model": f"v{j:02d}", "x_modality": "vision", "y_modality": "vision"}
            rows.append(pair | kinds | {"score": score, "metric": metric, "n": 1001} | more)
    return alignment(rows)


def solved(count: int = 12):
    return competence({"vtab_solved": {f"v{i:02d}": i / (count - 1) for i in range(count)}})


def layered() -> AlignmentTable:
    common = {"x_model": "lm", "y_model": "vit", "x_modality": "language", "y_modality": "vision", "n": 1001}
    rows = []
    for i in range(-1, 9):
        for j in range(-1, 6):
            score = 0.11 if -1 in (i, j) else 0.02 + 0.13 * np.exp(-(((i - 6) / 3) ** 2) - ((j - 4) / 2) ** 2)
            rows.append(common | {"x_layer": i, "y_layer": j, "score": float(score)})
    return alignment(rows)


def hubs() -> pd.DataFrame:
    depth = np.linspace(0, 1, 7)
    parts = []
    for q, model in enumerate(["lm", "glove", "vit"]):
        figures = {
            "in_degree_skewness": 1 + q + depth**2,
            "max_in_degree": 40 + 60 * q * depth,
            "never_neighbours": 0.1 + 0.1 * q * depth,
        }
        parts.append(pd.DataFrame({"model": model, "depth": depth, **figures}))
    return pd.concat(parts, ignore_index=True)


def maps():
    """Four maps of three language models, better ones first, from 8 to 400 anchors."""
    steps = dict(zip((8, 32, 128, 400), (0.15, 0.3, 0.55, 0.8), strict=True))
    factors = {"orthogonal": 1.0, "ridge": 0.93, "relative": 0.75, "asif": 0.9}
    scores = {(name, count): factor * step for name, factor in factors.items() for count, step in steps.items()}
    good = {"llama-65b": 1.0, "olmo-1b": 0.7, "glove": 0.45, "lm": 0.3}
    return translations({(model, "net"): factor for model, factor in good.items()}, scores)


RSA = "rsa(correlation=spearman,similarity=cosine)"
RECORDED = {"net": 0.4, "net_random": 0.1, "pixels": 0.05, "human_it": 0.6, "monkey_it": 0.5}


def recorded() -> AlignmentTable:
    """All pairs of three models and two brains."""
    names = list(RECORDED)
    return alignment(
        [
            {"x_model": a, "y_model": b, "score": RECORDED[a] * RECORDED[b] + 0.1, "metric": RSA, "n": 92}
            for i, a in enumerate(names)
            for b in names[i + 1 :]
        ]
    )


def brain_scores() -> BrainTable:
    """Two networks of five layers, pixels, and either brain as a model of the other; ceilings of one."""
    rows = []
    for brain, people in (("human_it", 4), ("monkey_it", 1)):
        for model in (name for name in RECORDED if name != brain):
            for layer in range(5 if "net" in model else 1):
                score = RECORDED[model] * (0.4 + 0.1 * layer if "net" in model else 1)
                row = {"x_model": model, "x_layer": layer, "x_depth": layer / 4, "y_model": brain, "score": score}
                row |= {"low": score - 0.1, "high": score + 0.1, "people": people, "n_test": 92, "metric": RSA}
                row |= {"lower": 0.37, "upper": 0.67} if people > 1 else {}
                rows.append({"experiment": "similarity", "dataset": "iai92--0", "y_layer": 0, "seed": 0, **row})
    return BrainTable.of_rows(rows)


def join(*tables: AlignmentTable) -> AlignmentTable:
    return AlignmentTable.concatenate(tables)


def intervals(table: AlignmentTable):
    """Tests of every score: an interval of ± .01 and a null of .01 to .015."""
    names = ["dataset", "n", "metric", "clip", "x_model", "x_key", "x_layer", "y_model", "y_key", "y_layer", "score"]
    test = {"select": "max", "permutations": 200, "null_mean": 0.012, "null_low": 0.01, "null_high": 0.015}
    rows = table.frame[names].assign(low=table.frame.score - 0.01, high=table.frame.score + 0.01)
    return selection([test | row for row in rows.to_dict("records")])


def _bent(table: AlignmentTable, power: float) -> AlignmentTable:
    return AlignmentTable(table.frame.assign(score=table.frame.score**power))


ZOO = {  # name: (family, parameters, share of units)
    "vit_small": ("vit", 22e6, 0.30),
    "vit_base": ("vit", 86e6, 0.25),
    "net_50": ("net", 25e6, 0.22),
    "net_101": ("net", 44e6, 0.20),
    "vit_random": ("random", 22e6, 0.01),
}
KNN = [f"mutual_knn(k={k},similarity=cosine)" for k in (1, 10, 100, 500)]
CKNNA = {
    f"{name}(k={k},similarity=cosine)": 1 + 0.3 * i
    for name in ("cknna", "cknna_prh")
    for i, k in enumerate((10, 100, 1000))
}
CKA = "cka(hsic={},kernel=linear,sigma=median,similarity=cosine)"
GLOBAL = [CKA.format("biased"), CKA.format("unbiased"), "svcca(components=10,similarity=cosine)", METRIC]
LOCAL = [
    "cknna(k=10,similarity=cosine)",
    "cycle_knn(direction=xy,k=10,similarity=cosine)",
    "edit_distance_knn(k=10,normalised=True,similarity=cosine)",
    "lcs_knn(k=10,normalised=True,similarity=cosine)",
]
SAMPLES: dict[str, Callable[[PlotStyle | None], Plot]] = {
    "fig2": lambda style: plot("fig2", vision(), solved(), style=style, options={"projection": "mds"}),
    "fig4": lambda style: plot("fig4", models(), measured(), style=style, options={"vision": "vit_large.dino"}),
    "fig9": lambda style: plot(
        "fig9",
        join(*(models(0.5 + w / 60, dataset=f"cut{w}--0", words=float(w)) for w in (5, 10, 20, 30))),
        style=style,
    ),
    "fig10": lambda style: plot(
        "fig10", join(*(_bent(models(metric=m), p) for m, p in CKNNA.items())), measured(), style=style
    ),
    "fig12": lambda style: plot(
        "fig12",
        join(*(vision(metric=m, power=1 + i) for i, m in enumerate(GLOBAL)), vision(n=501, dataset="half--0")),
        style=style,
    ),
    "fig13": lambda style: plot(
        "fig13", join(*(models(1 + i / 2, metric=m) for i, m in enumerate(GLOBAL))), style=style
    ),
    "fig14": lambda style: plot(
        "fig14", join(*(models(1 + i / 2, metric=m) for i, m in enumerate(LOCAL[:3]))), style=style
    ),
    "matrix": lambda style: plot("matrix", models(), style=style),
    "layers": lambda style: plot("layers", layered(), style=style),
    "ladder": lambda style: plot("ladder", models(), style=style),
    "significance": lambda style: plot("significance", models(), selection=intervals(models()), style=style),
    "k_curve": lambda style: plot(
        "k_curve",
        join(*(models(null_mean=float("nan"), metric=m, scale=1 + i) for i, m in enumerate(KNN))),
        style=style,
    ),
    "n_curve": lambda style: plot(
        "n_curve",
        join(
            *(
                models(null_mean=float("nan"), n=n, dataset=f"stamps[{n}]--0", scale=20 / n**0.5)
                for n in (500, 1000, 2000, 16000)
            )
        ),
        style=style,
    ),
    "gallery": lambda style: plot(
        "gallery", galleries=galleries({("lm", "net"): 0.4, ("glove", "net"): 0.3, ("lm", "pixels"): 0.15}), style=style
    ),
    "units": lambda style: plot("units", units=unit_shares(ZOO), style=style),
    "unit_matrix": lambda style: plot("unit_matrix", units=unit_shares(ZOO), style=style),
    "translation": lambda style: plot("translation", translation=maps(), style=style),
    "brains": lambda style: plot("brains", recorded(), brains=brain_scores(), style=style),
    "hubness": lambda style: plot("hubness", hubness=hubs(), style=style),
    "controls": lambda style: plot(
        "controls",
        join(
            *(
                models((1 - s) ** 2 + 0.02 * q, shuffle_share=float(s), shuffle_seed=float(q))
                for s in np.linspace(0, 1, 11)
                for q in range(2)
            )
        ),
        style=style,
    ),
}


for _name in known():
    _test = Path(__file__).with_name(f"test_{_name}.py")
    if _test.is_file() and "\ndef sample(" in _test.read_text(encoding="utf-8"):
        SAMPLES[_name] = lambda style, module=f"{__package__}.{_test.stem}": import_module(module).sample(style)


if __name__ == "__main__":
    for name in sys.argv[1:] or SAMPLES:
        SAMPLES[name](None).figure.savefig(BASELINES / f"{name}.png", dpi=DPI, metadata={"Software": None})
