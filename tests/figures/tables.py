"""Tables made by hand for the figures' tests."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from platorep.figures import draw
from platorep.figures.data import FigureData, Plot
from platorep.figures.style import PlotStyle
from platorep.results.tables import (
    ALIGNMENT_COLUMNS,
    COMPETENCE_COLUMNS,
    CONCATENATION,
    GALLERY_COLUMNS,
    SELECTION_COLUMNS,
    AlignmentTable,
    CompetenceTable,
    GalleryTable,
    SelectionTable,
)
from platorep.results.translation import TRANSLATION_COLUMNS, TranslationTable
from platorep.results.units import SHARE_COLUMNS, ShareTable


METRIC = "mutual_knn(k=10,similarity=cosine)"
_DEFAULTS = {"string": "", "int64": 0, "float64": float("nan")}

RANDOM = {"weights": "random"}


def noise(base: str, value: float) -> dict:
    """Facts of a model with noise on its weights."""
    return {"weights": "pretrained", "base": base, "dial": "weight_noise", "dose": value}


def smaller(base: str, pixels: int) -> dict:
    """Facts of a model that sees smaller pictures."""
    return {"weights": "pretrained", "base": base, "dial": "input_size", "dose": float(pixels)}


def plot(
    name: str,
    alignment: AlignmentTable | None = None,
    competence: CompetenceTable | None = None,
    *,
    style: PlotStyle | None = None,
    options: Mapping[str, object] | None = None,
    **tables: object,
) -> Plot:
    """A figure of these tables; `tables` are other fields of FigureData."""
    data = FigureData(alignment=alignment, competence=competence, **tables)
    return draw(name, data, style=style, **(options or {}))


def drawn(
    name: str,
    alignment: AlignmentTable | None = None,
    competence: CompetenceTable | None = None,
    **options: object,
) -> Figure:
    """A figure of two tables with these options."""
    return plot(name, alignment, competence, options=options).figure


def alignment(rows: list[dict]) -> AlignmentTable:
    """An alignment table of rows that name only what matters; a modality is read off l/v at the start of `x`, `y`."""
    full = []
    for row in rows:
        made = {column: _DEFAULTS[dtype] for column, dtype in ALIGNMENT_COLUMNS.items()}
        made |= {"dataset": "toy--0123456789ab", "n": 101, "metric": METRIC, "clip": "exact(0.95)"} | row
        for side in "xy":
            layer = made[f"{side}_layer"]
            made[f"{side}_layer_name"] = "concatenation" if layer == CONCATENATION else f"block.{layer}"
        full.append(made)
    return AlignmentTable.from_frame(pd.DataFrame(full))


def said(figure: Figure) -> str:
    """The texts outside of panels, the note among them, without line breaks."""
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def cross(
    scores: dict[tuple[str, str], float],
    families: dict[str, str] | None = None,
    facts: dict[str, dict] | None = None,
    **more: object,
) -> AlignmentTable:
    """One layer pair a pair: {(language, vision): score}, with families and facts by model."""
    families, facts = families or {}, facts or {}
    rows = []
    for (language, vision), score in scores.items():
        row = {"score": score, **more}
        for side, model, modality in (("x", language, "language"), ("y", vision, "vision")):
            row |= {f"{side}_model": model, f"{side}_modality": modality, f"{side}_family": families.get(model, "")}
            row |= {f"{side}_{fact}": value for fact, value in facts.get(model, {}).items()}
        rows.append(row)
    return alignment(rows)


def selection(rows: list[dict]) -> SelectionTable:
    """A selection table of rows that name only what matters."""
    full = []
    for row in rows:
        made = {column: _DEFAULTS[dtype] for column, dtype in SELECTION_COLUMNS.items()}
        full.append(made | {"dataset": "toy--0123456789ab", "n": 101, "metric": METRIC, "clip": "exact(0.95)"} | row)
    return SelectionTable.from_frame(pd.DataFrame(full))


def selected(table: AlignmentTable, select: str = "max", **more: object) -> SelectionTable:
    """A selection table of the first layer pair of every pair of models, with 200 permutations."""
    pairs = table.frame.drop_duplicates(["x_model", "y_model", "metric"])
    names = ["dataset", "n", "metric", "clip", "x_model", "x_key", "x_layer", "y_model", "y_key", "y_layer", "score"]
    return selection(
        [{"select": select, "permutations": 200, **row, **more} for row in pairs[names].to_dict("records")]
    )


def competence(values: dict[str, dict[str, float]], task: str = "toy text") -> CompetenceTable:
    """{measure: {model: value}}."""
    rows = []
    for measure, by_model in values.items():
        for model, value in by_model.items():
            row = {column: _DEFAULTS[dtype] for column, dtype in COMPETENCE_COLUMNS.items()}
            rows.append(row | {"model": model, "measure": measure, "value": value, "task": task, "source": "measured"})
    return CompetenceTable.from_frame(pd.DataFrame(rows, columns=list(COMPETENCE_COLUMNS)))


def galleries(
    scores: dict[tuple[str, str], float], sizes: tuple[int, ...] = (100, 400, 1600, 6400), **more: object
) -> GalleryTable:
    """Scores that fall with the gallery at k = 10 and stay at k = n/100, from the given ones in the smallest."""
    rows = []
    for (x, y), score in scores.items():
        for share in (float("nan"), 0.01):
            for n in sizes:
                k = 10 if share != share else round(share * n)
                value = score * (sizes[0] / n) ** 0.4 if share != share else 0.8 * score
                made = {column: _DEFAULTS[dtype] for column, dtype in GALLERY_COLUMNS.items()}
                made |= {
                    "dataset": "toy--0",
                    "n": n,
                    "queries": 100,
                    "k": k,
                    "share": share,
                    "x_model": x,
                    "y_model": y,
                    "backend": "cpu",
                }
                made |= {
                    "score": value,
                    "low": 0.8 * value,
                    "high": 1.2 * value,
                    "chance": k / (n - 1),
                    "corrected": value - k / (n - 1),
                }
                rows.append(made | {"x_recall": 1.0, "y_recall": 1.0} | more)
    return GalleryTable.from_frame(pd.DataFrame(rows))


def unit_shares(models: dict[str, tuple[str, float, float]], layers: int = 5, **more: object) -> ShareTable:
    """Shares of units that fall with depth: {model: (family, parameters, share)}, every model with every other.

    A model of family "random" has random weights.
    """
    rows = []
    for x, (family, parameters, share) in models.items():
        for y, (other, _, partner) in models.items():
            for layer in range(-1, layers):
                depth = 0.5 if layer < 0 else layer / (layers - 1)
                score = 1.0 if x == y else (share * partner) ** 0.5 * (1.4 - 0.8 * depth)
                made = {column: _DEFAULTS[dtype] for column, dtype in SHARE_COLUMNS.items()}
                made |= {
                    "experiment": "units",
                    "dataset": "toy--0123456789ab",
                    "measure": "shared",
                    "rule": "best_buddies",
                }
                made |= {"x_model": x, "x_family": family, "x_parameters": parameters, "x_layer": layer, "y_layer": -1}
                made |= {
                    "x_weights": _weights(family),
                    "y_weights": _weights(other),
                    "y_model": "self" if x == y else y,
                }
                made |= {"x_depth": float("nan") if layer < 0 else depth, "units": 1000, "count": round(1000 * score)}
                made |= {"score": score, "null_mean": 0.01, "rotated": 0.12 - 0.1 * depth, "n_test": 700}
                rows.append(made | {"low": score - 0.02, "high": score + 0.02} | more)
    return ShareTable.from_frame(pd.DataFrame(rows))


def _weights(family: str) -> str:
    return "random" if family == "random" else "pretrained"


def translations(
    pairs: Mapping[tuple[str, str], float],
    scores: Mapping[tuple[str, int], float],
    *,
    splits: int = 3,
    measure: str = "recall_at_10",
    **more: object,
) -> TranslationTable:
    """Scores of maps in both directions: (map, anchors) -> score, times a factor of the pair, by a little more or less.

    The first split has the same maps from broken pairs, at chance.
    """
    rows = []
    for (x, y), factor in pairs.items():
        for (name, count), score in scores.items():
            for number, direction in enumerate(("x to y", "y to x")):
                for seed in range(splits):
                    own = factor * score + 0.002 * ((count + 3 * seed + number) % 5 - 2)
                    row = {"x_model": x, "y_model": y, "direction": direction, "map": name, "n_fit": count}
                    row |= {"seed": seed, "score": own, "low": own - 0.05, "high": own + 0.05, "null_mean": 0.1}
                    rows.append(row)
                    if seed == 0:
                        rows.append(row | {"score": 0.1, "control": "shuffled"})
    common = {"experiment": "translation", "dataset": "toy--0", "n": 100, "n_test": 30, "measure": measure}
    common |= {
        "chance": 0.1,
        "kernel": 0.2,
        "kernel_chance": 0.05,
        "x_weights": "pretrained",
        "y_weights": "pretrained",
    }
    frame = pd.DataFrame(rows).assign(**{name: value for name, value in (common | more).items()})
    missing = {name: _DEFAULTS[kind] for name, kind in TRANSLATION_COLUMNS.items() if name not in frame}
    return TranslationTable.from_frame(frame.assign(**missing).fillna({"control": ""}))
