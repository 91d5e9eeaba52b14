"""Cost of checking stored features, while `align` reads them at the paper's shape and in `store verify`.

    python scripts/bench/store.py                              # 12 x 17 models, n = 1,024: 5 GB of features, minutes
    python scripts/bench/store.py --n-language-models 3 --n-vision-models 4 --gigabytes 1

Every ratio is of times from one run on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import align as shapes
import torch

from platorep.align import align
from platorep.core import stored as core_stored
from platorep.core.resources import Resources
from platorep.core.samples import Samples
from platorep.core.shards import tensor_hash
from platorep.core.store import FeatureStore
from platorep.core.stored import FeatureSet
from platorep.core.verify import verify_store
from platorep.metrics.registry import parse


class Timed:
    """A function that sums the seconds of its calls, of the clock and of the processor."""

    def __init__(self, function) -> None:
        self.function, self.seconds, self.processor, self.calls = function, 0.0, 0.0, 0

    def __call__(self, *args):
        start, processor = time.perf_counter(), time.thread_time()
        try:
            return self.function(*args)
        finally:
            self.seconds += time.perf_counter() - start
            self.processor += time.thread_time() - processor
            self.calls += 1


def stored(root: Path, language: int, vision: int, n: int) -> dict[str, list[FeatureSet]]:
    """The models of scripts/bench/align.py, written by a separate process, so that its memory is not counted."""
    chosen = {"language": shapes.LANGUAGE[:language], "vision": shapes.VISION[:vision]}
    jobs = [
        (root, shapes.spec(f"{side}-{i}", side, n), layers, width, 1000 * (side == "vision") + i)
        for side in chosen
        for i, (layers, width) in enumerate(chosen[side])
    ]
    with ProcessPoolExecutor(1) as pool:
        paths = list(pool.map(shapes.write, *zip(*jobs, strict=True)))
    features = [FeatureSet(path) for path in paths]
    return {"language": features[:language], "vision": features[language:]}


def reading(features: dict[str, list[FeatureSet]], scratch: Path, memory: int) -> None:
    """Seconds of `align`, and the part of them that hashing took."""
    checks = Timed(tensor_hash)
    core_stored.tensor_hash = checks
    start, processor = time.perf_counter(), time.process_time()
    try:
        align(
            list(product(features["language"], features["vision"])),
            [parse("mutual_knn")],
            out_dir=scratch / "parts",
            resources=Resources(memory=memory),
        )
    finally:
        core_stored.tensor_hash = tensor_hash
    took, processor = time.perf_counter() - start, time.process_time() - processor
    size = sum(shard.bytes for side in features.values() for one in side for shard in one.shards)
    print(f"align            {took:8.1f} s   {size / 1e9:.1f} GB of stored features")
    print(f"checks           {checks.seconds:8.2f} s   {checks.calls:,} tensors: {checks.seconds / took:.2%} of align")
    print(f"of the processor {checks.processor:8.2f} s   of {processor:.1f} s: {checks.processor / processor:.2%}")


def verifying(store: FeatureStore, gigabytes: float) -> None:
    """Rate of `store verify` beside that of SHA-256 alone and of reading alone, over the same files."""
    store.write_samples(*next(dataset_samples(store)))
    files = sorted(store.root.rglob("shard-*"))
    size = sum(path.stat().st_size for path in files)
    for number in range(1, max(1, round(gigabytes * 1e9 / size))):  # copies, until there are enough bytes
        for path in list(store.root.glob("*/*/manifest.json")):
            if "copy" not in path.parent.name:
                shutil.copytree(path.parent, path.parent.with_name(f"copy{number}-{path.parent.name}"))
    files = sorted(store.root.rglob("shard-*"))
    size = sum(path.stat().st_size for path in files)
    drop_caches(files)
    start = time.perf_counter()
    for path in files:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(BUFFER):
                pass
    disk = time.perf_counter() - start
    sample = BUFFER * 16
    start = time.perf_counter()
    hashlib.sha256(sample).hexdigest()
    one_core = len(sample) / (time.perf_counter() - start)
    drop_caches(files)
    start = time.perf_counter()
    faults = sum(len(result.faults) for result in verify_store(store))
    took = time.perf_counter() - start
    print(f"verify           {took:8.1f} s   {size / 1e9:.1f} GB, {faults} faults: {size / took / 1e9:.2f} GB/s")
    print(f"reading alone    {disk:8.1f} s   {size / disk / 1e9:.2f} GB/s from the disk, its caches dropped")
    print(f"SHA-256 alone                {one_core / 1e9:.2f} GB/s a core, {os.cpu_count()} cores")


BUFFER = bytearray(16 << 20)


def drop_caches(files: list[Path]) -> None:
    """Asks the system to drop the files from its cache, so that they are read from the disk."""
    for path in files:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def dataset_samples(store: FeatureStore):
    """The benchmark's dataset and its samples."""
    for features in store.find():
        ids = [str(i) for i in range(features.n)]
        yield features.spec.dataset, Samples(ids, [[]] * features.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-language-models", type=int, default=len(shapes.LANGUAGE))
    parser.add_argument("--n-vision-models", type=int, default=len(shapes.VISION))
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--gigabytes", type=float, default=10, help="of features that are verified")
    parser.add_argument("--memory", type=float, default=4, help="GB that align may take")
    parser.add_argument("--store", type=Path, help="keeps the synthetic features here; a temporary folder otherwise")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        root = args.store or Path(scratch) / "features"
        features = stored(root, args.n_language_models, args.n_vision_models, args.n)
        reading(features, Path(scratch), int(args.memory * 1e9))
        verifying(FeatureStore(root), args.gigabytes)


if __name__ == "__main__":
    main()
