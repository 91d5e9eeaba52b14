"""Share of queries that a shortlist of low precision leaves without a proof, on stored features and at random.

    python scripts/bench/shortlist.py outputs/features         # every layer of every stored model
    python scripts/bench/shortlist.py --random 20000 768       # independent normal rows of length 1

These queries are searched again in full precision. Counts and not times: on a CPU low precision is not faster, and its
products are computed from rounded rows in float32.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch

from platorep.core.errors import FeatureError
from platorep.core.store import FeatureStore
from platorep.metrics.geometry import Geometry
from platorep.metrics.knn import nearest
from platorep.metrics.shortlist import search


def layers(args: argparse.Namespace) -> Iterator[tuple[str, torch.Tensor]]:
    if args.random:
        yield "random", torch.randn(*args.random, generator=torch.Generator().manual_seed(0))
    for features in FeatureStore(args.store).find() if args.store else ():
        for layer in features.layers:
            yield features.name, features.load(layer.name)


def shares(x: torch.Tensor, k: int, precision, similarity) -> torch.Tensor:
    """Shares of queries searched again, for either reason, and of neighbours that are not those of full precision."""
    layer = Geometry(x, similarity)
    rows = layer.x if similarity == "cosine" else layer.moved
    found = search(rows, k, precision, similarity=similarity)
    others = found.nearest.indices != nearest(rows, k, similarity=similarity).indices
    return torch.tensor([found.redone, *(p.double().mean() for p in (found.outside, found.order, others))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", nargs="?", type=Path, help="folder of stored features")
    parser.add_argument("--random", type=int, nargs=2, metavar=("N", "D"))
    parser.add_argument("--k", type=int, default=10)
    args = parser.parse_args()
    results: dict[tuple[str, ...], list[torch.Tensor]] = {}
    shapes: dict[str, str] = {}
    for name, x in layers(args):
        shapes[name] = f"{len(x)} x {x.shape[1]}"
        for similarity in ("cosine", "euclidean"):
            for precision in ("tf32", "bfloat16"):
                try:
                    results.setdefault((name, similarity, precision), []).append(
                        shares(x, args.k, precision, similarity)
                    )
                except FeatureError as error:
                    print(f"{name}, {similarity}: {error}")
    print("searched again: share of queries, mean over layers (lowest to highest); then by reason; then differing")
    for (name, similarity, precision), rows in results.items():
        low, high = (bound.item() for bound in torch.stack(rows)[:, 0].aminmax())
        mean, outside, order, others = torch.stack(rows).mean(dim=0).tolist()
        print(
            f"{name:14s} {shapes[name]:>11s} {len(rows):3d} layers  {similarity:9s} {precision:8s} "
            f"{mean:.4f} ({low:.4f} to {high:.4f})  outside {outside:.4f}  order {order:.4f}  differing {others:.6f}"
        )


if __name__ == "__main__":
    main()
