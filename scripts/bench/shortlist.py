"""Share of queries that are searched again after a shortlist of low precision, on stored features and at random.

    python scripts/bench/shortlist.py outputs/features         # every layer of every stored model
    python scripts/bench/shortlist.py --random 20000 768       # independent normal rows of length 1

Counts and not times: on a CPU low precision is not faster, and its products are computed from rounded rows in float32.
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
    """Shares of queries searched again, and of those whose order is uncertain in float32; shares of neighbours that are
    none in full precision, and that have another rank there although the order is certain."""
    layer = Geometry(x, similarity)
    rows = layer.x if similarity == "cosine" else layer.moved
    found = search(rows, k, precision, similarity=similarity)
    near, full = found.nearest.indices, nearest(rows, k, similarity=similarity).indices
    others = (near[:, :, None] != full[:, None, :]).all(dim=2)
    wrong = (near != full) & ~(found.outside | found.order)[:, None]
    return torch.stack([part.double().mean() for part in (found.outside, found.order, others, wrong)])


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
    for (name, similarity, precision), rows in results.items():
        low, high = (bound.item() for bound in torch.stack(rows)[:, 0].aminmax())
        again, order, others, wrong = torch.stack(rows).mean(dim=0).tolist()
        print(
            f"{name:13s} {shapes[name]:>11s}, {len(rows)} layers, {similarity:9s} {precision:8s} again {again:.4f} "
            f"({low:.4f} to {high:.4f}), order uncertain {order:.4f}, others {others:.6f}, wrong {wrong:.6f}"
        )


if __name__ == "__main__":
    main()
