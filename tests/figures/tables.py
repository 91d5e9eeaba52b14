"""Tables made by hand for the figures' tests."""

from __future__ import annotations

import pandas as pd

from platorep.results.tables import (
    ALIGNMENT_COLUMNS,
    COMPETENCE_COLUMNS,
    CONCATENATION,
    GALLERY_COLUMNS,
    AlignmentTable,
    CompetenceTable,
    GalleryTable,
)


METRIC = "mutual_knn(k=10,similarity=cosine)"
_DEFAULTS = {"string": "", "int64": 0, "float64": float("nan")}


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


def cross(
    scores: dict[tuple[str, str], float], families: dict[str, str] | None = None, **more: object
) -> AlignmentTable:
    """One layer pair a pair: {(language, vision): score}."""
    families = families or {}
    return alignment(
        [
            {
                "x_model": language,
                "x_modality": "language",
                "x_family": families.get(language, ""),
                "y_model": vision,
                "y_modality": "vision",
                "y_family": families.get(vision, ""),
                "score": score,
                **more,
            }
            for (language, vision), score in scores.items()
        ]
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
