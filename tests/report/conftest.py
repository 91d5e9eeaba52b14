"""A small run with texts that would break a careless page."""

from __future__ import annotations

import dataclasses
from itertools import combinations, product

import pytest
import torch
from PIL import Image

from platorep import competence
from platorep.align import align, significance
from platorep.align.significance import Null
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureSet, FeatureStore
from platorep.core.writer import FeatureWriter
from platorep.metrics.registry import build
from platorep.report import Run
from platorep.results.tables import AlignmentTable
from platorep.units.pairs import Matching
from platorep.units.parts import compare_all, joined
from tests.figures.tables import translations


N = 90
HOSTILE = (
    "</script><script>document.title = 'broken in'</script>",
    "<img src=x onerror=\"document.title = 'broken in'\">",
    "<!-- <script> & 'quotes' \"double\" \u2028 next line",
    "{{ run.name }} {% for x in y %}",
)


def picture(index: int) -> Image.Image:
    return Image.new("RGB", (300, 200), (index * 2 % 256, 120, 255 - index * 2 % 256))


def make_run(
    root,
    *,
    n: int = N,
    permutations: int = 39,
    metrics=("mutual_knn", "cka"),
    depth: int = 3,
    models: int = 2,
    kind: str = "cross",
) -> Run:
    """`models` language and as many vision models of a shared latent, compared across (kind "cross") or all; k = 5."""
    chance = torch.Generator().manual_seed(7)
    latent = torch.randn(n, 5, generator=chance)
    captions = [
        [HOSTILE[i]] if i < len(HOSTILE) else [f"thing {i} of kind {i % 7}", f"another word for {i}"] for i in range(n)
    ]
    captions[n - 1] = captions[n - 2]
    samples = Samples(
        ids=[f"s/{i:03d}" for i in range(n)],
        captions=captions,
        categories=[f"kind <{i % 7}>" for i in range(n)],
        dropped=[{"id": "gone & <lost>", "reason": "picture is the same as that of 's/001'"}],
    )
    dataset = DatasetSpec(name="toy", source="synthetic", revision="1", upstream="<b>nowhere</b>", n=n)
    store = FeatureStore(root / "features")
    store.write_samples(dataset, samples)
    features = []
    for modality in ("language", "vision"):
        for number in range(models):
            name = f"{modality[0]}{number}"
            upstream = "somebody's model, quantised to Q4" if name == "l1" else ""
            model = ModelSpec(
                name=name,
                modality=modality,
                source="imported",
                id=f"<{name}>",
                revision="r1",
                family=modality,
                upstream=upstream,
            )
            writer = FeatureWriter(store, ExtractSpec(model=model, dataset=dataset), samples, 64)
            layers = {}
            for i in range(depth):
                noise = (1.5 + number) * torch.randn(n, 12 + i, generator=chance)
                layers[f"block.{i}"] = latent @ torch.randn(5, 12 + i, generator=chance) + noise
            for shard, (start, stop) in enumerate(writer.bounds):
                writer.write(shard, {layer: values[start:stop] for layer, values in layers.items()})
            scalars = {"parameters": 1000 + number, "bits_per_byte": 1.5, "truncated": 3 if name == "l0" else 0}
            made = {"device": "cpu", "dtype": "float32"} if name != "v1" else {}  # imported features tell neither
            features.append(FeatureSet(writer.finish(scalars, **made)))
    built = [build(name, **({"k": 5} if name == "mutual_knn" else {})) for name in metrics]
    cross = product(features[:models], features[models:])
    tested = list(cross if kind == "cross" else combinations(features, 2))
    align(tested, built, out_dir=root / "alignment")
    parts = sorted(path for path in (root / "alignment").glob("*.parquet") if ".samples." not in path.name)
    return Run(
        name="small--toy",
        suite="small <suite>",
        dataset=dataset,
        samples=samples,
        picture=picture,
        features=features,
        metrics=built,
        alignment=AlignmentTable.load(parts),
        selection=significance(tested, built, null=Null(permutations=permutations)) if permutations else None,
        competence=competence.from_features(features),
        missing=["absent"],
        words=["suite=small", "metric=[mutual_knn,cka]"],
        configuration='{"suite": "<small>"}',
    )


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Run:
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def changed(small):
    """The small run with some of its material replaced."""
    return lambda **changes: dataclasses.replace(small, **changes)


@pytest.fixture(scope="session")
def matched(small, tmp_path_factory) -> Run:
    """The small run with matched units of its vision models and of a language model."""
    models = [small.by_name[name] for name in ("v0", "v1", "l0")]
    pairs = [(a, b) for i, a in enumerate(models) for b in models[i + 1 :]] + [(a, a) for a in models]
    matching, folder = Matching(permutations=39, rotations=2), tmp_path_factory.mktemp("units")
    compare_all(pairs, matching, folder, parameters={})
    return dataclasses.replace(small, units=joined(pairs, matching, folder))


@pytest.fixture(scope="session")
def whole(matched) -> Run:
    """The small run with every section that a page can have beside the usual ones: units and maps between models."""
    pairs = {("l0", "v0"): 1.0, ("l1", "v0"): 0.6}
    scores = {("ridge", 50): 0.5, ("orthogonal", 50): 0.4, ("relative", 50): 0.3, ("ridge", 8): 0.2}
    return dataclasses.replace(matched, translation=translations(pairs, scores))
