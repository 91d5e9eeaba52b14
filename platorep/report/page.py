"""The page: tables and texts from a template, inlined styles and script, and a policy that blocks everything else."""

from __future__ import annotations

import base64
import hashlib
import logging
import shlex
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from platorep.core.errors import StoreError
from platorep.core.files import write_atomically
from platorep.core.version import __version__
from platorep.figures import about
from platorep.report import brains, payload, translation
from platorep.report.anatomy import Anatomy, anatomy
from platorep.report.caveats import caveats
from platorep.report.material import Run
from platorep.report.units import share_rows, unit_sets
from platorep.results.labels import metric_label
from platorep.results.protocols import described
from platorep.results.tables import CONCATENATION


log = logging.getLogger(__name__)

SCRIPTS = ("common.js", "matrix.js", "layers.js", "explorer.js", "units.js", "start.js")
"""Files of the page's script, joined in this order."""

LARGE = 15 * 10**6
"""Size in bytes above which a warning is logged: browsers open large pages slowly, and mail refuses them."""

EXPLORED = 10
"""Number of neighbours in the explorer if no configured metric has a k."""


def write_page(run: Run, path: Path, *, progress: Callable[[int, int, str], None] | None = None) -> Path:
    """Writes the page of a run; the same inputs give the same bytes.

    Args:
        run: content of the page.
        path: HTML file to write.
        progress: called with (done, total, name) as layers are read.

    Raises:
        StoreError: there are no scores.

    Cost: every layer of every model is read once and its neighbours are found, as in `align`.
    """
    if not run.scored:
        raise StoreError(
            f"{run.name}: no score of these models by these metrics. Run `platorep align` with the same settings first."
        )
    anatomies = dissect(run, progress)
    page = render(run, anatomies).encode()
    write_atomically(path, lambda p: p.write_bytes(page))
    log.info("%s: %.1f MB", path, len(page) / 1e6)
    if len(page) > LARGE:
        log.warning(
            "%s is larger than %d MB: draw fewer figures or take fewer metrics to make it smaller.",
            path.name,
            LARGE // 10**6,
        )
    return path


def dissect(run: Run, progress: Callable[[int, int, str], None] | None = None) -> dict[str, Anatomy]:
    """Neighbours and layer figures of every scored model."""
    metric, wanted = run.neighbour_metric, payload.wanted_layers(run)
    anatomies = {}
    for number, name in enumerate(run.models):
        if progress is not None:
            progress(number, len(run.models), name)
        features = run.by_name[name]
        anatomies[name] = anatomy(
            features,
            min(
                (None if metric is None else metric.neighbourhood) or EXPLORED,
                min(features.n, payload.MOST_SAMPLES) - 1,
            ),
            wanted[name],
            similarity="cosine" if metric is None else metric.similarity,
            clamp=run.clamp,
            memory=run.memory,
            most=payload.MOST_SAMPLES,
        )
    return anatomies


def render(run: Run, anatomies: dict[str, Anatomy]) -> str:
    """The page as text."""
    sets = unit_sets(run)
    script, style = "\n".join(asset(name) for name in SCRIPTS), asset("page.css")
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            run=run,
            title=f"{run.suite or 'models'} on {run.dataset.name}",
            version=__version__,
            n=len(run.samples.ids),
            modalities=modalities(run),
            metrics=[{"id": metric.id, "label": metric_label(metric.id)} for metric in run.scored],
            top=top_pair(run),
            choice=described(run.select),
            held_out=run.select == "heldout",
            rises=run.rises,
            pairs=[pair_row(run, row) for row in run.pairs.to_dict("records")],
            caveats=caveats(run, anatomies),
            figures=[figure(name, path) for name, path in run.figures.items()],
            translation=translation.section(run.translation),
            brains=brains.section(run.brains),
            strip=brains.STRIP,
            models=[model_row(run, name, anatomies[name]) for name in run.models],
            versions=versions(run),
            commands=commands(run),
            unit_sets=sets,
            unit_shares=share_rows(run),
            data=payload.script_safe(payload.payload(run, anatomies) | {"units": sets}),
            script=script,
            style=style,
            script_hash=source_hash(script),
            style_hash=source_hash(style),
        )
    )


def environment() -> jinja2.Environment:
    """The templates of this package. They escape everything that they insert."""
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"number": number, "p": p_value}
    return templates


def asset(name: str) -> str:
    """A file of this package: template, style, script."""
    return (files("platorep.report") / name).read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """The hash by which the policy of the page allows its own script and style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def modalities(run: Run) -> list[tuple[str, int]]:
    """Modalities with their numbers of models, in order of appearance."""
    counts: dict[str, int] = {}
    for name in run.models:
        modality = run.by_name[name].spec.model.modality
        counts[modality] = counts.get(modality, 0) + 1
    return list(counts.items())


def top_pair(run: Run) -> dict[str, Any]:
    """The pair with the highest score under the first metric."""
    pairs = run.pairs[run.pairs.metric == run.scored[0].id]
    return pair_row(run, pairs.loc[pairs.score.idxmax()].to_dict())


def pair_row(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """A pair of models for the table of statistics."""
    named = {f"{side}_where": layer_name(run, row[f"{side}_model"], int(row[f"{side}_layer"])) for side in "xy"}
    return row | named | {"label": metric_label(row["metric"])}


def layer_name(run: Run, model: str, layer: int) -> str:
    """A layer for readers: its index and name, or "all layers"."""
    return "all layers" if layer == CONCATENATION else f"{layer} ({run.by_name[model].layers[layer].name})"


def model_row(run: Run, name: str, anatomy_: Anatomy) -> dict[str, Any]:
    """A model for the tables of models and of provenance."""
    features = run.by_name[name]
    model, provenance = features.spec.model, features.manifest["provenance"]
    bits = None if run.competence is None else run.competence.values("bits_per_byte").get(name)
    widths = [layer.dim for layer in features.layers]
    return {
        "name": name,
        "model": model,
        "key": features.key,
        "parameters": features.scalars.get("parameters"),
        "bits": bits,
        "layers": len(widths),
        "width": str(widths[0]) if len(set(widths)) == 1 else f"{min(widths)} to {max(widths)}",
        "changes": changes(model),
        "provenance": provenance,
        "threshold": anatomy_.threshold,
        "clamped": anatomy_.layers.clamped.max(),
        "hub": anatomy_.layers.max_in_degree.max(),
        "orphans": anatomy_.layers.never_neighbours.max(),
        "ties": anatomy_.layers.ties.max(),
    }


def versions(run: Run) -> list[tuple[dict[str, str], list[str]]]:
    """Each set of library versions, with the models that were extracted under it."""
    groups: list[tuple[dict[str, str], list[str]]] = []
    for name in run.models:
        used = run.by_name[name].manifest["provenance"]["versions"]
        group = next((names for known, names in groups if known == used), None)
        if group is None:
            groups.append((used, group := []))
        group.append(name)
    return groups


def changes(model: Any) -> str:
    """How a model differs from the published model, in words."""
    parts = []
    if model.weights == "random":
        parts.append(f"random weights (seed {model.seed})")
    if model.weight_noise:
        parts.append(f"weight noise {model.weight_noise:g} (seed {model.seed})")
    if model.input_size:
        parts.append(f"pictures of {model.input_size} px")
    if model.quantize:
        parts.append(f"quantised to {model.quantize}")
    return ", ".join(parts)


def figure(name: str, path: Path) -> dict[str, Any]:
    """A figure with its picture inlined, at twice the resolution of a screen."""
    with Image.open(path) as picture:
        width, height = (side // 2 for side in picture.size)
    png = base64.b64encode(path.read_bytes()).decode()
    return {"name": name, "about": about(name), "png": png, "width": width, "height": height}


def commands(run: Run) -> list[tuple[str, str]]:
    """The commands that reproduce the page from scratch, with the purpose of each."""
    arguments = shlex.join(run.words)
    steps = (
        ("extract", "features of every layer"),
        ("align", "scores of all pairs, their nulls and intervals"),
        ("plot", "figures"),
        ("report", "this page"),
    )
    return [(f"platorep {step} {arguments}".rstrip(), purpose) for step, purpose in steps]


def number(value: Any, digits: int = 3) -> str:
    """A number with fixed decimals; a dash if it is missing."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}".replace("-", "−")


def p_value(value: Any) -> str:
    """A p value with two significant digits; a dash if it is missing."""
    return "–" if value is None or pd.isna(value) else f"{value:.2g}"
