"""Tables of scores as text: CSV for programs, Markdown and LaTeX for readers."""

from __future__ import annotations

import pandas as pd

from platorep.results.tables import SELECTION_COLUMNS


READ = ("dataset", "n", "metric", "select", "x_model", "y_model", "score", "low", "high", "null_mean", "p_family")
"""Main columns, in Markdown and LaTeX; the overrides of the runs follow them."""


def scores_text(scores: pd.DataFrame, format: str) -> str:
    """A table of `Outputs.scores` as "csv" (all columns), "md" or "latex" (the main ones)."""
    if format == "csv":
        return scores.to_csv(index=False)
    overrides = [name for name in scores if name not in SELECTION_COLUMNS]
    shown = scores[[*READ, *overrides]].copy()
    for name in ("score", "low", "high", "null_mean"):
        shown[name] = [f"{value:.3f}" if value == value else "" for value in scores[name]]
    shown["p_family"] = [f"{value:.2g}" if value == value else "" for value in scores.p_family]
    shown = shown.fillna("")
    if format == "latex":
        return _latex(shown)
    return _markdown(shown)


def _markdown(frame: pd.DataFrame) -> str:
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns)]
    lines += [[str(value).replace("|", r"\|") for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _latex(frame: pd.DataFrame) -> str:
    """A booktabs table; the special characters of LaTeX are escaped."""
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    table = str.maketrans(special | {"\\": r"\textbackslash{}"})
    rows = [" & ".join(str(value).translate(table) for value in row) + r" \\" for row in frame.itertuples(index=False)]
    head = " & ".join(str(name).translate(table) for name in frame.columns) + r" \\"
    body = "\n".join([head, r"\midrule", *rows])
    return f"\\begin{{tabular}}{{{'l' * len(frame.columns)}}}\n\\toprule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
