"""Time and memory of exact neighbours of many samples, against the bare product and FAISS's flat index.

    python scripts/bench/neighbours.py --n 100000 --d 768              # needs the extra: pip install platorep[faiss]
    python scripts/bench/neighbours.py --n 1000000 --d 1024 --device cuda --shortlist tf32

Every ratio is of times from one run on one machine. Half of the bare products are timed before the neighbours, half
after, so that a change of the machine's speed meets both; the bare products and FAISS may be timed on a share of the
query rows.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time

import torch

from platorep.metrics.knn import TILES, neighbours
from platorep.metrics.shortlist import search


def timed(device: str, call) -> float:
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare(queries: torch.Tensor, gallery: torch.Tensor, tile: tuple[int, int]) -> None:
    """The products of all queries with the whole gallery alone, in the tile size that is fastest here."""
    for block in queries.split(tile[0]):
        for part in gallery.split(tile[1]):
            block @ part.T


BARE = {"cpu": (2048, 2048), "cuda": (16384, 16384)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument(
        "--rows", type=int, help="query rows of the bare products and of FAISS; all by default. Times are scaled to all"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-faiss", action="store_true")
    parser.add_argument("--shortlist", choices=["tf32", "bfloat16"], help="time a search by shortlist as well")
    args = parser.parse_args()
    device, tile = args.device, BARE[torch.device(args.device).type]
    x = torch.nn.functional.normalize(
        torch.randn(args.n, args.d, generator=torch.Generator().manual_seed(0)), dim=1
    ).to(device)
    rows = min(args.rows or args.n, args.n)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{device}"
    )
    print(
        f"n = {args.n:,}, d = {args.d}, k = {args.k}, tiles of {TILES[x.device.type][0]}; "
        f"{rows:,} query rows of the others timed"
    )

    features = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = {"bare products": 0.0}
    for _ in range(2):  # warms up
        bare(x[: tile[0]], x[: 2 * tile[1]], tile)
    times["bare products"] += timed(device, lambda: bare(x[: rows // 2], x, tile))
    found = []
    times["neighbours"] = timed(device, lambda: found.append(neighbours(x, args.k))) * rows / args.n
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - features
    if args.shortlist:
        found.append(search(x[: 10 * TILES["cpu"][0]], args.k, args.shortlist))  # warms up
        times["by shortlist"] = timed(device, lambda: found.append(search(x, args.k, args.shortlist))) * rows / args.n
    times["bare products"] += timed(device, lambda: bare(x[rows // 2 : rows], x, tile))
    if device == "cpu" and not args.no_faiss:
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        index, theirs = faiss.IndexFlatIP(args.d), []
        index.add(x.numpy())
        times["faiss flat"] = timed(device, lambda: theirs.append(index.search(x[:rows].numpy(), args.k + 1)[1]))
        shared = sum(
            len(set(a) & (set(b) - {i}))
            for i, (a, b) in enumerate(zip(found[0].tolist(), theirs[0].tolist(), strict=False))
        )
    for name, seconds in times.items():
        print(
            f"{name:14s} {seconds * args.n / rows:9.1f} s   {seconds / times['bare products']:.2f} of the bare products"
        )
    if args.shortlist:
        same = (found[2].nearest.indices == found[0]).double().mean().item()
        print(f"{found[2].redone:.5f} of the queries searched again; {same:.5f} of the neighbours are the same")
    if "faiss flat" in times:
        ratio = times["faiss flat"] / times["neighbours"]
        print(
            f"neighbours are {ratio:.1f} times as fast as faiss {faiss.__version__}; "
            f"{shared / (rows * args.k):.5f} of them are in both"
        )
    if device == "cpu":
        print(f"memory beyond features: {peak / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
