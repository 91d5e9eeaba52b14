"""Time and memory of exact neighbours of many samples, against the bare product and FAISS's flat index.

    python scripts/bench/neighbours.py --n 100000 --d 768              # needs the extra: pip install platorep[faiss]
    python scripts/bench/neighbours.py --n 1000000 --d 1024 --device cuda

Every ratio is of times from one run on one machine; the parts are timed on a share of the query rows each, in turn,
so that another load on the machine meets all of them.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time

import torch

from platorep.metrics.knn import TILES, neighbours


def timed(device: str, call) -> float:
    start = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def bare(queries: torch.Tensor, gallery: torch.Tensor, tile: tuple[int, int]) -> None:
    """The products alone, in the same tiles."""
    out = torch.empty(*tile, device=queries.device)
    for top in range(0, len(queries), tile[0]):
        block = queries[top : top + tile[0]]
        for left in range(0, len(gallery), tile[1]):
            part = gallery[left : left + tile[1]]
            torch.mm(
                block,
                part.T,
                out=out[: len(block), : len(part)] if len(part) == tile[1] else torch.empty(len(block), len(part), device=out.device),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--rows", type=int, help="query rows that are timed; all by default. Times are scaled to all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-faiss", action="store_true")
    args = parser.parse_args()
    device, tile = args.device, TILES[torch.device(args.device).type]
    x = torch.nn.functional.normalize(torch.randn(args.n, args.d, generator=torch.Generator().manual_seed(0)), dim=1).to(device)
    rows = min(args.rows or args.n, args.n)
    own = torch.arange(args.n, device=device)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {device}")
    print(f"n = {args.n:,}, d = {args.d}, k = {args.k}, tiles of {tile[0]} x {tile[1]}, {rows:,} query rows timed")

    index = None
    if device == "cpu" and not args.no_faiss:
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        index = faiss.IndexFlatIP(args.d)
        index.add(x.numpy())
    features = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = {"bare products": 0.0, "neighbours": 0.0, "faiss flat": 0.0}
    peak = 0
    same = total = 0
    piece = 4 * tile[0]
    bare(x[: tile[0]], x, tile)  # warms up
    for start in range(0, rows, piece):
        block = slice(start, min(start + piece, rows))
        found = []
        times["neighbours"] += timed(device, lambda b=block, f=found: f.append(neighbours(x[b], args.k, gallery=x, own=own[b])))
        peak = max(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - features)
        times["bare products"] += timed(device, lambda b=block: bare(x[b], x, tile))
        if index is not None:
            theirs = []
            times["faiss flat"] += timed(device, lambda b=block, t=theirs: t.append(index.search(x[b].numpy(), args.k + 1)[1]))
            mine = found[0].numpy()
            for i, (a, b) in enumerate(zip(mine, theirs[0], strict=True)):
                same += len(set(a.tolist()) & (set(b.tolist()) - {start + i}))
                total += args.k
    for name, seconds in times.items():
        if seconds:
            print(f"{name:14s} {seconds * args.n / rows:9.1f} s   {seconds / times['bare products']:.2f} of the bare products")
    if index is not None:
        print(
            f"neighbours are {times['faiss flat'] / times['neighbours']:.1f} times as fast as faiss; {same / total:.5f} of them are in both"
        )
    if device == "cpu":
        print(f"memory beyond features and index: {peak / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
