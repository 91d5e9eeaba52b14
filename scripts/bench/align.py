"""Time and memory of `align` at the shape of the paper's Figure 3, against the bare products and pair by pair.

    python scripts/bench/align.py  # 12 x 17 models, n = 1,024: 9 GB of features, minutes
    python scripts/bench/align.py --n-language-models 3 --n-vision-models 4

Every ratio is of times from one run on one machine.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import torch

from platorep.align import align
from platorep.core.resources import Resources
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.writer import FeatureWriter
from platorep.metrics.registry import parse


LANGUAGE = [
    (25, 1024),
    (25, 1536),
    (25, 2048),
    (31, 2560),
    (31, 4096),
    (27, 3200),
    (33, 4096),
    (41, 5120),
    (33, 4096),
    (41, 5120),
    (61, 6656),
    (81, 8192),
]
VISION = [
    (12, 192),
    (12, 384),
    (12, 768),
    (24, 1024),
    (12, 768),
    (24, 1024),
    (32, 1280),
    (12, 384),
    (12, 768),
    (24, 1024),
    (40, 1536),
]
VISION += [(12, 768), (24, 1024), (32, 1280), (12, 768), (24, 1024), (32, 1280)]
"""(layers, width) of the paper's 12 language models (hidden states and embeddings) and 17 vision models (blocks)."""


def spec(name: str, modality: str, n: int) -> ExtractSpec:
    return ExtractSpec(
        model=ModelSpec(name=name, modality=modality, source="imported", id=name, revision="bench", family=name),
        dataset=DatasetSpec(name="bench", source="synthetic", id="bench", n=n),
        storage_dtype="bfloat16",
    )


def write(root: Path, one: ExtractSpec, layers: int, width: int, seed: int) -> Path:
    """A model whose layers are random noisy maps of a shared latent, so that neighbours agree as in real models."""
    store, n = FeatureStore(root), one.dataset.n
    if store.has(one):
        return store.dir(one)
    latent = torch.randn(n, 64, generator=torch.Generator().manual_seed(0))
    own = torch.Generator().manual_seed(seed)
    writer = FeatureWriter(store, one, Samples([str(i) for i in range(n)], [[]] * n), n)
    noise = torch.randn(n, width, generator=own)
    made = {}
    for i in range(layers):
        mix = torch.randn(64, width, generator=own) / 8
        made[f"layer.{i:02d}"] = (latent @ mix + 0.7 * noise.roll(37 * i, dims=1)).to(torch.bfloat16)
    writer.write(0, made)
    return writer.finish({})


def straightforward(x: torch.Tensor, y: torch.Tensor, k: int) -> float:
    """Mutual neighbours of one layer pair in the plain way: both graphs by full sorts, masks, mean."""
    masks = []
    for features in (x, y):
        unit = torch.nn.functional.normalize(features, dim=1)
        nearest = (unit @ unit.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :k]
        masks.append(torch.zeros(len(x), len(x)).scatter_(1, nearest, 1.0))
    return ((masks[0] * masks[1]).sum(dim=1) / k).mean().item()


def best_of(times: int, call) -> float:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-language-models", type=int, default=len(LANGUAGE))
    parser.add_argument("--n-vision-models", type=int, default=len(VISION))
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--metrics", nargs="+", default=["mutual_knn"])
    parser.add_argument("--memory", type=float, default=4, help="GB")
    parser.add_argument("--pairs", type=int, default=8, help="layer pairs evaluated one by one")
    parser.add_argument("--store", type=Path, help="keeps the synthetic features here; a temporary folder otherwise")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    shapes = {"language": LANGUAGE[: args.n_language_models], "vision": VISION[: args.n_vision_models]}
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{args.device}"
    )

    with tempfile.TemporaryDirectory() as scratch:
        root = args.store or Path(scratch)
        jobs = [
            (root, spec(f"{side}-{i}", side, args.n), layers, width, 1000 * (side == "vision") + i)
            for side in shapes
            for i, (layers, width) in enumerate(shapes[side])
        ]
        with ProcessPoolExecutor(1) as pool:  # in a separate process, so that its memory is not counted
            features = [FeatureSet(path) for path in pool.map(write, *zip(*jobs, strict=True))]
        x, y = features[: len(shapes["language"])], features[len(shapes["language"]) :]

        started, steps = time.perf_counter(), []
        metrics = [parse(word) for word in args.metrics]
        table = align(
            list(product(x, y)),
            metrics,
            out_dir=Path(scratch) / "out",
            progress=lambda *step: steps.append((time.perf_counter(), step[2])),
            resources=Resources(memory=int(args.memory * 1e9), device=args.device),
        )
        took = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        prepared = next((at for at, label in steps if " x " in label), steps[-1][0]) - started
        a, b = (sum(layers for layers, _ in shapes[side]) for side in shapes)
        print(
            f"{a} x {b} layers, {len(table.frame):,} scores by {', '.join(m.id for m in metrics)}: "
            f"best {table.frame.score.max():.3f}"
        )
        print(
            f"align            {took:8.1f} s   of it {prepared:.1f} s until the first part; peak memory {peak:.1f} GB"
        )

        k = getattr(metrics[0], "k", 10)
        widths = Counter(width for side in shapes.values() for layers, width in side for _ in range(layers))
        bare = 0.0
        for width, count in widths.items():
            unit = torch.nn.functional.normalize(torch.randn(args.n, width, device=args.device), dim=1)
            bare += count * best_of(3, lambda unit=unit: (unit @ unit.T).topk(k, dim=1).indices.cpu())
        print(f"bare products and top-k, each layer once {bare:8.1f} s   align takes {took / bare:.2f} times as long")

        chosen = torch.Generator().manual_seed(0)
        total = 0.0
        for _ in range(args.pairs):
            one, other = (
                side[int(torch.multinomial(torch.tensor([float(len(f.layers)) for f in side]), 1, generator=chosen))]
                for side in (x, y)
            )
            i, j = (int(torch.randint(len(f.layers), (1,), generator=chosen)) for f in (one, other))
            p, q = one.load(i, device=args.device), other.load(j, device=args.device)
            total += best_of(2, lambda p=p, q=q: straightforward(p, q, k))
        naive = total / args.pairs * a * b
        print(
            f"pair by pair     {naive:8.1f} s   ({total / args.pairs:.3f} s each of {args.pairs}): "
            f"{naive / took:,.0f} times align"
        )


if __name__ == "__main__":
    main()
