"""Matrices of dissimilarities: formats, ids, what is refused, and the store."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import savemat

from platorep.align import align
from platorep.align.layers import ModelLayers
from platorep.core.clamp import EXACT, NONE
from platorep.core.errors import DataError, FeatureError, SpecError, UnknownNameError
from platorep.core.features import Subset, is_matrix, matrices, require_features
from platorep.core.specs import AssetSpec, DatasetSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.data.matrix_files import read_matrices
from platorep.extract.imports import store_import, store_import_matrix
from platorep.metrics import registry
from platorep.models.sources import load, source_of


N, IDS = 12, [f"s{i:02d}" for i in range(12)]
DATASET = DatasetSpec(name="scans", source="folder", id="imported")


def stack(count: int = 3) -> np.ndarray:
    values = np.random.default_rng(0).random((count, N, N))
    values = values + values.transpose(0, 2, 1)
    values[:, np.arange(N), np.arange(N)] = 0
    return values.astype(np.float32).astype(np.float64)


def take(store, path, **more):
    return store_import_matrix(path, store=store, dataset=DATASET, name="brain", modality="brain", **more)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "features")


def write(path, values):
    """The same matrices in one of the formats."""
    upper = values[:, *np.triu_indices(N, 1)]
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, it=values, ids=np.array(IDS), repetitions=np.array(["a/1", "a/2", "b/1"]))
    elif path.name == "plain.mat":
        savemat(path, {"rdms": upper})
    else:
        entries = [(one, f"hIT | {name} | Session: 1") for one, name in zip(values, "abc", strict=True)]
        savemat(path, {"RDMs": np.array(entries, dtype=[("RDM", object), ("name", object)])})
    return path


@pytest.mark.parametrize("name", ["m.npy", "m.npz", "plain.mat", "toolbox.mat"])
def test_each_format_gives_the_same_matrices_in_the_order_of_the_ids(name, store, tmp_path):
    values = stack()
    features = take(store, write(tmp_path / name, values), ids=IDS)
    assert is_matrix(features)
    assert matrices(features, 0).numpy() == pytest.approx(values, abs=1e-7)
    names = {"m.npz": ["a/1", "a/2", "b/1"], "toolbox.mat": ["a/Session: 1", "b/Session: 1", "c/Session: 1"]}
    assert features.scalars["repetitions"] == names.get(name, ["1", "2", "3"])


def test_a_table_has_ids_in_its_first_row_and_column_or_none(tmp_path):
    values = stack(1)[0]
    rows = [",".join(map(str, row)) for row in values.tolist()]
    (tmp_path / "bare.csv").write_text("\n".join(rows))
    named = [",".join(["", *IDS]), *(f"{name},{row}" for name, row in zip(IDS, rows, strict=True))]
    (tmp_path / "named.csv").write_text("\n".join(named))
    for name, ids in (("bare.csv", None), ("named.csv", IDS)):
        found = read_matrices(tmp_path / name)
        assert found.ids == ids
        assert found.layers["dissimilarity"][0] == pytest.approx(values)


def test_rows_and_columns_follow_the_order_of_the_dataset(store, tmp_path):
    values = stack()
    np.savez(tmp_path / "x.npz", layer=np.random.default_rng(1).random((N, 4)), ids=np.array(IDS))
    store_import(tmp_path / "x.npz", store=store, dataset=DATASET, name="x", modality="vision")
    turned = np.arange(N)[::-1]
    np.save(tmp_path / "m.npy", values[:, turned][:, :, turned])
    features = take(store, tmp_path / "m.npy", ids=IDS[::-1])
    assert matrices(features, 0).numpy() == pytest.approx(values, abs=1e-7)
    places = np.array([1, 4, 5])
    part = Subset(features, places, "three")
    assert matrices(part, 0).numpy() == pytest.approx(values[:, places][:, :, places], abs=1e-7)
    assert part.layers[0].dim == 9


def test_a_matrix_takes_part_in_an_alignment_and_metrics_of_features_say_why_they_have_no_score(store, tmp_path):
    x = np.random.default_rng(1).random((N, 4))
    np.savez(tmp_path / "x.npz", layer=x, ids=np.array(IDS))
    other = store_import(tmp_path / "x.npz", store=store, dataset=DATASET, name="x", modality="vision")
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    own = 1 - unit @ unit.T
    np.fill_diagonal(own, 0)
    np.save(tmp_path / "m.npy", np.stack([own * 0.5, own * 1.5]))
    brain = take(store, tmp_path / "m.npy", ids=IDS)
    metrics = [registry.build("rsa"), registry.build("mutual_knn", k=3), registry.build("svcca", components=2)]
    frame = align([(other, brain)], metrics, out_dir=None, clamp=NONE).frame
    scores = frame[frame.x_layer == 0].groupby("metric").score.max()
    assert scores[metrics[0].id] == pytest.approx(1, abs=1e-5)  # the mean of the repetitions is its own dissimilarity
    assert scores[metrics[1].id] == 1
    refused = frame[frame.metric == metrics[2].id]
    assert refused.score.isna().all()
    assert refused.y_left_out.str.contains("svcca needs features").all()
    assert ModelLayers(brain, clamp=EXACT, memory=1 << 30).threshold is None
    with pytest.raises(FeatureError, match="brain is a matrix of dissimilarities, and a linear map needs features"):
        require_features(brain, "a linear map")
    require_features(other, "a linear map")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v[:, :, :5], r"expected \(n, n\), or \(repetitions, n, n\)"),
        (lambda v: v + np.triu(np.ones((N, N)), 1), "not symmetric"),
        (lambda v: 1 - v, "the diagonal has values up to 1; expected dissimilarities"),
        (lambda v: np.where(v == v[0, 0, 1], np.nan, v), "NaN or infinity between samples 0 and 1"),
        (lambda v: v[0, :, :7], r"n \(n - 1\) / 2 values"),
    ],
)
def test_what_is_no_dissimilarity_is_refused(change, message, store, tmp_path):
    np.save(tmp_path / "m.npy", change(stack()))
    with pytest.raises(FeatureError, match=message):
        take(store, tmp_path / "m.npy", ids=IDS)


def test_ids_formats_and_variables_are_checked(store, tmp_path):
    write(tmp_path / "toolbox.mat", stack())
    np.save(tmp_path / "m.npy", stack())
    with pytest.raises(DataError, match="has no sample ids. Pass them as ids="):
        take(store, tmp_path / "m.npy")
    with pytest.raises(DataError, match="3 sample ids for 12 samples"):
        take(store, tmp_path / "m.npy", ids=["a", "b", "c"])
    with pytest.raises(UnknownNameError, match="unknown variable of .* 'RDM'. Did you mean 'RDMs'"):
        take(store, f"{tmp_path / 'toolbox.mat'}:RDM", ids=IDS)
    with pytest.raises(SpecError, match=r"imported from \.npy, .*; got '\.txt'"):
        read_matrices(tmp_path / "m.txt")
    one = take(store, f"{tmp_path / 'toolbox.mat'}:RDMs/hIT | b | Session: 1", ids=IDS)
    assert matrices(one, 0).numpy()[0] == pytest.approx(stack()[1], abs=1e-7)


def test_a_matrix_has_no_encoder_and_no_settings_of_networks():
    asset = AssetSpec(source="path", id="folder")
    spec = ModelSpec(name="it", modality="brain", source="matrix", id="m.mat", asset=asset)
    with pytest.raises(SpecError, match="it is a matrix of dissimilarities: it encodes nothing"):
        load(spec, torch.device("cpu"))
    with pytest.raises(SpecError, match="has no weights and takes no pictures"):
        source_of(spec).check(spec.replace(weights="random"))
    source_of(spec).check(spec)
    with pytest.raises(SpecError, match="source=matrix is not run here.*store import --matrix"):
        source_of(spec.replace(asset=None))
