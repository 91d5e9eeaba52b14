"""Measures peak memory and time of matching units on synthetic features that are generated when they are read.

    python scripts/bench/units.py --units 10000 --samples 100000 --memory 1

Two models of twenty layers each; a tenth of the units of one is noisy copies of units of the other, and the script
checks that exactly these are found. The observed arrangement, one permutation and one rotation are computed. The
numbers are in docs/units.md.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from platorep.core.manifest import Layer
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.units.correlations import Arrangement, strongest, tile_width, tiles
from platorep.units.reading import ModelUnits, RotatedUnits


LAYERS, ROWS = 20, 2048
COPIED = 10  # one unit in so many is a copy


@dataclass(frozen=True)
class MadeFeatures:
    """Independent normal units, generated at each reading from a seed per layer and block of rows."""

    name: str
    seed: int
    n: int
    width: int
    dataset: str = "made"
    digest: str = "made"
    layers: list[Layer] = field(init=False)
    spec: ExtractSpec = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", [Layer(f"layer.{i}", self.width, "F32") for i in range(LAYERS)])
        model = ModelSpec(name=self.name, modality="vision", source="imported", id=self.name)
        spec = ExtractSpec(model=model, dataset=DatasetSpec(name="made", source="synthetic", n=self.n))
        object.__setattr__(self, "spec", spec)

    @property
    def key(self) -> str:
        return self.name

    @property
    def content(self) -> str:
        return self.name

    def load(self, layer: int, *, rows: slice | None = None, device: str = "cpu") -> torch.Tensor:
        start, stop, _ = (rows or slice(None)).indices(self.n)
        out = np.empty((stop - start, self.width), dtype=np.float32)
        for block in range(start // ROWS, -(-stop // ROWS)):
            values = self._block(layer, block)
            low, high = max(start, block * ROWS), min(stop, block * ROWS + len(values))
            out[low - start : high - start] = values[low - block * ROWS : high - block * ROWS]
        return torch.from_numpy(out).to(device)

    def _block(self, layer: int, block: int) -> np.ndarray:
        count = min(ROWS, self.n - block * ROWS)

        def normal(seed: int, width: int) -> np.ndarray:
            generator = np.random.Generator(np.random.SFC64([seed, layer, block]))
            return generator.standard_normal((count, width), dtype=np.float32)

        values = normal(self.seed, self.width)
        values[:, ::COPIED] = 0.8 * normal(2, -(-self.width // COPIED)) + 0.6 * values[:, ::COPIED]
        return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--memory", type=float, default=1.0, help="GB")
    parser.add_argument("--only-observed", action="store_true", help="no permutation and no rotation")
    given = parser.parse_args()
    memory = int(given.memory * 1e9)
    x, y = (
        ModelUnits(MadeFeatures(name, seed, given.samples, given.units // LAYERS), range(LAYERS))
        for seed, name in enumerate("xy")
    )
    arrangements = [Arrangement()]
    if not given.only_observed:
        order = np.random.default_rng(0).permutation(given.samples)
        arrangements.append(Arrangement(None, torch.from_numpy(order)))
    small = [ModelUnits(MadeFeatures(name, 0, 4096, 64), range(LAYERS)) for name in "xy"]
    strongest(small[0], RotatedUnits(small[1], [0]), arrangements[:1])  # loads the libraries
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1000
    start = time.perf_counter()
    total = tiles(x.count, y.count, x.n, memory)
    print(f"blocks of {tile_width(given.samples, memory)} units, {total} tiles", flush=True)
    results = strongest(x, y, arrangements, memory=memory, progress=Tenths(total * len(arrangements), before))
    report("observed" + " and permuted" * (len(results) > 1), start, before)
    if not given.only_observed:
        start = time.perf_counter()
        turned = strongest(RotatedUnits(y, [0]), x, memory=memory, progress=Tenths(total, before))[0]
        report("rotated", start, before)
        print(
            f"highest correlations, mean: permuted {results[1].x.score.mean():.4f}, rotated {turned.y.score.mean():.4f}"
        )
    copies = np.flatnonzero(x.place.unit % COPIED == 0)
    matched = results[0].x.unit[:, 0] == np.arange(x.count)
    high = results[0].x.score[:, 0] > 0.5
    print(
        f"{len(copies)} copies, {matched[copies].sum()} found; {high.sum()} units above .5, {high[copies].sum()} copies"
    )


class Tenths:
    """Prints the time and the peak of memory after each tenth of the tiles."""

    def __init__(self, total: int, before: int) -> None:
        self.total, self.before, self.done, self.start = total, before, 0, time.perf_counter()

    def __call__(self) -> None:
        self.done += 1
        if 10 * self.done // self.total > 10 * (self.done - 1) // self.total:
            report(f"  {self.done} of {self.total} tiles", self.start, self.before)


def report(what: str, start: float, before: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1000
    seconds = time.perf_counter() - start
    gigabytes = f"peak {(peak - before) / 1e6:.2f} GB beside {before / 1e6:.2f} GB of libraries"
    print(f"{what}: {seconds:.0f} s, {gigabytes}", flush=True)


if __name__ == "__main__":
    main()
