"""The same queries, searched in growing galleries: alignment when more samples compete to be neighbours.

With a fixed k the neighbours become nearer as the gallery grows, so scores of different sizes cannot be compared. The
table therefore also has the score at k proportional to the size of the gallery.

Only graphs are kept in memory, queries x k for each layer and size; features are loaded one layer at a time. Each share
of the queries writes one part per pair of models, atomically. The share that finishes last writes the table, whose
bytes do not depend on the number of shares.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch

from platorep.align.gallery_parts import (
    Design,
    Searched,
    is_current,
    merged_rows,
    part_path,
    shared_by_query,
    write_part,
)
from platorep.align.layers import ModelLayers, check_same_samples, full_precision, tie_seed
from platorep.align.parts import origin
from platorep.align.plan import plan_blocks
from platorep.core.clamp import EXACT, Clamp
from platorep.core.errors import DataError, FeatureError, SpecError
from platorep.core.features import Features, require_features
from platorep.core.resources import DEFAULT, Resources, pick_device
from platorep.metrics import knn
from platorep.metrics.ties import Priority, by_index, by_seed
from platorep.results.tables import GalleryTable


log = logging.getLogger(__name__)

COLUMNS = 32768
"""Gallery rows per tile; tiles have few query rows."""

TESTED = 16
"""One of this many queries is also searched exactly, to measure the recall of an approximate search."""


@full_precision()
def score_galleries(
    pairs: Sequence[tuple[Features, Features]],
    design: Design,
    *,
    out_dir: Path,
    clamp: Clamp = EXACT,
    overwrite: bool = False,
    resources: Resources = DEFAULT,
    progress: Callable[[int, int, str], object] | None = None,
) -> GalleryTable | None:
    """mutual_knn of the same queries in growing galleries, for all layer pairs of the given pairs of models.

    Layers are clamped as `align` clamps them. The concatenation of all layers takes no part: with many samples,
    it needs more memory than everything else. Layers without neighbours (a zero row under cosine, samples that are all
    alike) are left out: their rows have no score.

    Args:
        pairs: pairs of models over the same samples.
        design: queries, galleries and neighbours.
        out_dir: folder of the parts.
        clamp: how features are clamped, as in `align`.
        overwrite: whether existing parts of this share are computed again.
        resources: the device of products; the memory that features and graphs may take together, though at least one
            layer's features are held twice; and the shard (i, m), the i-th of m shares of the queries.
        progress: called after each searched layer and each written part.

    Returns:
        The table, or None while parts of other shares are missing.

    Raises:
        DataError: two models have different samples, or fewer samples than the largest gallery has.
        SpecError: more shares than tiles of queries; search="faiss" without FAISS installed.
        FeatureError: a value is not finite; names model and layer.

    Cost: a layer's products, queries x largest gallery x d, once for all sizes and all k; one addition per neighbour,
    pair of layers and setting.
    """
    shard, memory, device = resources.shard, resources.memory, pick_device(resources.device)
    order, word = _check(pairs, design, shard), clamp.id
    parts = [[part_path(out_dir, a, b, design, word, (i, shard[1])) for i in range(shard[1])] for a, b in pairs]
    missing = [
        (a, b, part_paths[shard[0]])
        for (a, b), part_paths in zip(pairs, parts, strict=True)
        if overwrite or not is_current(part_paths[shard[0]], a, b)
    ]
    models = {model.key: model for a, b, _ in missing for model in (a, b)}
    start, stop = knn.share(design.queries, shard, design.rows)
    held = {key: 4 * (stop - start) * sum(design.widest) * len(model.layers) for key, model in models.items()}
    plan = plan_blocks(list(dict.fromkeys((a.key, b.key) for a, b, _ in missing)), held, memory // 2)
    done, total = 0, sum(len(models[key].layers) for block in plan for key in block.reads) + len(missing)

    def report(label: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total, label)

    searched: dict[str, list[Searched]] = {}
    for block in plan:
        searched = {key: searched[key] for key in block.keeps}
        room = memory - sum(held[key] for key in (*block.keeps, *block.reads))
        for key in block.reads:
            model = models[key]
            # three copies of a layer: as read, normalised, and reordered
            temporary = 3 * 4 * model.n * max(layer.dim for layer in model.layers)
            layers = ModelLayers(model, clamp=clamp, memory=room - temporary, device=device)
            searched[key] = []
            for layer in _search(layers, order, design, shard):
                searched[key].append(layer)
                report(model.name)
        for a, b, path in missing:
            if (a.key, b.key) in block.pairs:
                write_part(path, searched[a.key], searched[b.key], design, design.backend(device), origin(path, a, b))
                report(f"{a.name} x {b.name}")
    if not all(path.is_file() for part_paths in parts for path in part_paths):
        return None
    rows = [merged_rows(a, b, design, word, part_paths) for (a, b), part_paths in zip(pairs, parts, strict=True)]
    return GalleryTable.from_frame(pd.concat(rows, ignore_index=True))


def _check(pairs: Sequence[tuple[Features, Features]], design: Design, shard: tuple[int, int]) -> torch.Tensor:
    """Refuses what cannot be searched, before anything is read; returns the samples' order."""
    if not pairs:
        raise DataError("no pair of different models to compare.")
    check_same_samples([model for pair in pairs for model in pair])
    for model in {model.key: model for pair in pairs for model in pair}.values():
        require_features(model, "a gallery")
    tiles = -(-design.queries // design.rows)
    if shard[1] > tiles:
        raise SpecError(f"shard {shard[0]}/{shard[1]}: {design.queries} queries are cut into at most {tiles} shares.")
    if design.search == "faiss":
        from platorep.metrics.approximate import load_faiss

        load_faiss()
    return design.order(pairs[0][0].n)


def _search(layers: ModelLayers, order: torch.Tensor, design: Design, shard: tuple[int, int]) -> Iterator[Searched]:
    """Neighbours of a share of the queries in every layer of a model, in depth order."""
    for index, by_similarity in layers.geometries([design.similarity], concatenation=False):
        geometry = by_similarity[design.similarity]
        try:
            if isinstance(geometry, FeatureError):
                raise geometry
            geometry.require_variation()
        except FeatureError as error:
            features = layers.features
            log.warning("%s: layer %s left out: %s", features.name, features.layers[index].name, error)
            yield Searched.nothing(design, shard)
            continue
        x = geometry.x if design.similarity == "cosine" else geometry.moved
        seed = tie_seed(layers.features.key, index)
        yield _searched(x[order.to(x.device)], by_seed(seed) if design.ties == "random" else by_index, design, shard)


def _searched(x: torch.Tensor, priority: Priority, design: Design, shard: tuple[int, int]) -> Searched:
    """Neighbours of a share of the queries in one layer, given its rows in the order of the design."""
    start, stop = knn.share(design.queries, shard, design.rows)
    own = torch.arange(design.queries, device=x.device)
    everything = [(stop - start) * setting.k for setting in design.settings]
    if design.search == "faiss":
        from platorep.metrics.approximate import growing_neighbours

        graphs = growing_neighbours(x[start:stop], design.widest, design.sizes, gallery=x, own=own[start:stop])
        tested, found = _recall(graphs, x, own[start:stop], design)
        tied = [math.nan] * len(everything)
    else:
        tile, similarity = (design.rows, COLUMNS), design.similarity
        nearest = knn.growing(
            x[: len(own)],
            design.widest,
            design.sizes,
            gallery=x,
            own=own,
            similarity=similarity,
            priority=priority,
            shard=shard,
            tile=tile,
        )
        graphs, tested, found = [each.indices for each in nearest], everything, everything
        tied = [float(nearest[design.sizes.index(n)].tied(k).sum()) for n, k, _ in design.settings]
    return Searched([graph.to(torch.int32) for graph in graphs], tested, found, tied)


def _recall(
    graphs: list[torch.Tensor], x: torch.Tensor, queries: torch.Tensor, design: Design
) -> tuple[list[int], list[int]]:
    """Numbers of true neighbours of some queries, and of those that an approximate search found, by setting.

    The queries are the first few of each tile, so that the exact search has the same tiles, and gives the same bytes,
    for any number of shares.
    """
    few = -(-design.rows // TESTED)
    test = queries[queries % design.rows < few]
    tile, at = (few, COLUMNS), (test - queries[0]).cpu()
    true = knn.growing_neighbours(
        x[test], design.widest, design.sizes, gallery=x, own=test, similarity=design.similarity, tile=tile
    )
    found = []
    for n, k, _ in design.settings:
        size = design.sizes.index(n)
        found.append(int(shared_by_query([true[size][:, :k].cpu()], [graphs[size][at, :k]], n).sum()))
    return [len(test) * setting.k for setting in design.settings], found
