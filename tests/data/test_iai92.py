"""The 92 pictures: a small file of the same layout, and the numbers of the real one where it is in the cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat
from scipy.stats import rankdata

from platorep.assets import fetch
from platorep.brains.people import people_of
from platorep.cli.schema import config_dir
from platorep.core.errors import AssetError, SpecError
from platorep.core.features import matrices
from platorep.core.specs import AssetSpec, DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.data import open_dataset
from platorep.data.iai92 import FILE
from platorep.data.matrix_files import read_matrices
from platorep.extract.matrices import write_packaged
from platorep.metrics import registry
from platorep.metrics.matrix_geometry import MatrixGeometry
from platorep.stats.ceilings import noise_ceiling, prepared


ENTRY = [("category", object), ("image", object)]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    entries = [(word, rng.integers(0, 255, (9, 7, 3), dtype=np.uint8)) for word in ("face", "face", "tool")]
    values = rng.random((2, 3, 3))
    values = values + values.transpose(0, 2, 1)
    values[:, np.arange(3), np.arange(3)] = 0
    rdms = np.array([(one, f"IT | {name} | Session: 1") for one, name in zip(values, "ab", strict=True)],
                    dtype=[("RDM", object), ("name", object)])  # fmt: skip
    savemat(tmp_path / FILE, {"stimuli_92objs": np.array(entries, dtype=ENTRY)})
    savemat(tmp_path / "rdms.mat", {"RDMs": rdms})
    return AssetSpec(source="path", id=str(tmp_path)), values, [image for _, image in entries]


def test_pictures_and_matrices_are_those_of_the_files_for_some_of_the_samples(folder, tmp_path):
    asset, values, images = folder
    spec = DatasetSpec(name="iai92", source="iai92", assets=(asset,), n=2, order_seed=None)
    dataset = open_dataset(spec)
    assert dataset.samples.ids == ["1", "2"]
    assert dataset.samples.categories == ["face", "face"]
    assert np.array_equal(np.asarray(dataset.picture(1)), images[1])
    store = FeatureStore(tmp_path / "features")
    model = ModelSpec(name="it", modality="brain", source="matrix", id="rdms.mat:RDMs", asset=asset, revision="0" * 64)
    store.write_samples(dataset.spec, dataset.samples)
    stored = ExtractSpec(model=model, dataset=dataset.spec)
    write_packaged(stored, dataset.samples, store, 64)
    features = store.open(stored)
    assert matrices(features, 0).numpy() == pytest.approx(values[:, :2, :2], abs=1e-6)
    assert people_of(features, 0).names == ["a", "b"]
    wrong = stored.replace(model=model.replace(id="other.mat"))
    with pytest.raises(SpecError, match=r"0 files of the asset have that name: .*rdms\.mat"):
        write_packaged(wrong, dataset.samples, store, 64)


def test_an_asset_without_the_pictures_says_so(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    spec = DatasetSpec(name="iai92", source="iai92", assets=(AssetSpec(source="path", id=str(tmp_path)),))
    with pytest.raises(AssetError, match="among its members"):
        open_dataset(spec)


@pytest.fixture(scope="module")
def published():
    """Human IT, 4 people by mean of sessions, and monkey IT, shape (..., 92, 92), of the real archive."""
    spec = DatasetSpec.from_dict(yaml.safe_load((config_dir() / "dataset" / "iai92.yaml").read_text()))
    folder = fetch(spec.assets[0])
    human = read_matrices(next(folder.rglob("92_brainRDMs.mat")), "RDMs")
    monkey = read_matrices(next(folder.rglob(FILE)), "RDMs_mIT_hIT_fig1/mIT_674neurons").layers["dissimilarity"][0]
    assert human.repetitions == [f"{person}/Session: {s}" for person in ("BE", "KO", "SN", "TI") for s in (1, 2)]
    return human.layers["dissimilarity"].reshape(4, 2, 92, 92).mean(axis=1), monkey


def test_the_real_matrices_have_the_published_numbers(published):
    people, monkey = published
    upper = np.triu_indices(92, 1)
    human, other = people.mean(axis=0)[upper], monkey[upper]
    for measure, correlation in (("pearson", 0.491), ("spearman", 0.439)):
        assert prepared(human, measure) @ prepared(other, measure) == pytest.approx(correlation, abs=5e-4)
    for k, score in ((5, 0.215), (10, 0.314)):
        metric = registry.build("mutual_knn", k=k)
        sides = (metric.prepare(MatrixGeometry(torch.from_numpy(one))) for one in (people.mean(axis=0), monkey))
        assert metric.score(*sides) == pytest.approx(score, abs=5e-4)
        assert k / 91 == pytest.approx({5: 0.055, 10: 0.110}[k], abs=5e-4)


def test_the_real_ceilings_are_those_known_and_ranks_compared_without_ranking_the_pool_again_give_the_wider_ones(
    published,
):
    vectors = published[0][:, *np.triu_indices(92, 1)]
    assert noise_ceiling(vectors, "pearson") == pytest.approx((0.394, 0.680), abs=5e-4)
    assert noise_ceiling(rankdata(vectors, axis=1), "pearson") == pytest.approx((0.377, 0.672), abs=5e-4)
    assert noise_ceiling(vectors, "spearman") == pytest.approx((0.372, 0.666), abs=5e-4)


@pytest.mark.parametrize(("measure", "word"), [("pearson", "corr"), ("spearman", "spearman"), ("cosine", "cosine")])
def test_the_real_ceilings_are_those_of_rsatoolbox(published, measure, word):
    ceiling = pytest.importorskip(
        "rsatoolbox.inference.noise_ceiling", reason="scripts/test_slow.sh installs rsatoolbox"
    )
    from rsatoolbox.rdm import RDMs

    vectors = published[0][:, *np.triu_indices(92, 1)]
    assert noise_ceiling(vectors, measure) == pytest.approx(ceiling.boot_noise_ceiling(RDMs(vectors), word), abs=1e-12)
    assert noise_ceiling(vectors[:3], measure) != pytest.approx(noise_ceiling(vectors, measure), abs=1e-3)
