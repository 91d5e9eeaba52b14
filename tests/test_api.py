from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import platorep
from platorep.core.errors import DataError, FeatureError, UnknownNameError


def views(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    made = np.random.default_rng(0)
    latent = made.normal(size=(n, 4))
    return latent @ made.normal(size=(4, 12)) + 0.3 * made.normal(size=(n, 12)), latent @ made.normal(size=(4, 20))


def test_a_rotation_scores_one_and_a_shuffle_near_chance():
    x, y = views()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    assert platorep.score(x, x @ turn, k=5, clip="none") == 1
    assert platorep.score(x, y, k=5) > 0.3
    assert platorep.score(x, y[np.random.default_rng(2).permutation(80)], k=5) < 0.15


def test_numpy_and_torch_of_any_real_dtype_agree_and_are_left_alone():
    x, y = (side.round(1).astype(np.float32) for side in views())
    before = x.copy()
    expected = platorep.score(x, y, k=5)
    assert platorep.score(torch.from_numpy(x), torch.from_numpy(y).double(), k=5) == expected
    assert platorep.score(x.astype(np.float64), y, "mutual_knn(k=5)") == expected
    assert (x == before).all()


def test_score_layers_of_ragged_layers_clips_a_model_at_one_threshold():
    x, y = views()
    layers = [x, 100 * x[:, :7], x[:, :3]]
    scores = platorep.score_layers(layers, [y, y[:, :5]], k=5)
    assert scores.shape == (3, 2)
    assert scores[0, 0] != platorep.score(x, y, k=5) or scores[1, 0] != platorep.score(layers[1], y, k=5)
    alone = platorep.score_layers(layers, [y, y[:, :5]], k=5, clip="none")
    assert alone[2, 1] == platorep.score(layers[2], y[:, :5], k=5, clip="none")


def test_compare_gives_every_pair_of_models_once():
    x, y = views()
    table = platorep.compare({"a": [x, x[:, :6]], "b": y, "c": [y[:, :4]] * 3}, ["mutual_knn(k=5)", "jaccard_knn(k=5)"])
    assert table.frame.groupby(["x_model", "y_model"]).size().to_dict() == {
        ("a", "b"): 2 * 3 * 2, ("a", "c"): 2 * 3 * 4, ("b", "c"): 2 * 2 * 4
    }  # fmt: skip
    assert table.matrix("mutual_knn(k=5,similarity=cosine)").loc["a", "b"] > 0.3
    assert (table.frame.z[table.frame.metric.str.startswith("mutual")] > 3).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: platorep.score(x, x[:-1]), DataError, "different samples.*80 samples.*79 samples"),
        (lambda x: platorep.score(x, x, "mutual_kn"), UnknownNameError, "unknown metric 'mutual_kn'. Did you mean 'mutual_knn'"),
        (lambda x: platorep.score(x, x, n_neighbours=5), UnknownNameError, "unknown parameter of mutual_knn 'n_neighbours'"),
        (lambda x: platorep.score(x, x, k=80), FeatureError, "k = 80 neighbours of 80 samples"),
        (lambda x: platorep.score(x[0], x), FeatureError, r"x, layer 0: shape \(12,\)"),
        (lambda x: platorep.score(x.tolist(), x), FeatureError, "got list, expected a numpy array or a torch tensor"),
        (lambda x: platorep.score(x * 1j, x), FeatureError, "complex128 holds no real numbers"),
        (lambda x: platorep.score_layers([x, x[:5]], [x]), FeatureError, r"different numbers of rows: \[5, 80\]"),
        (lambda x: platorep.score_layers([], [x]), FeatureError, "x has no layers"),
        (lambda x: platorep.score(np.where(x > 2, np.nan, x), x), FeatureError, "not finite"),
    ],
)
def test_bad_input_is_refused_with_its_cause(call, error, message):
    with pytest.raises(error, match=message):
        call(views()[0])


def test_importing_platorep_loads_no_torch_and_the_functions_do():
    program = "import sys, platorep; print('torch' in sys.modules); platorep.score; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = platorep.scores
