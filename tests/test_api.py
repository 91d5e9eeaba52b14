from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

import platorep
from platorep.core.errors import DataError, FeatureError, SpecError, UnknownNameError
from platorep.metrics.neighbours import MutualKNN


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
    scores = platorep.score_layers(layers, [y, y[:, :5]], k=5, clip="exact")
    assert scores.shape == (3, 2)
    alone = platorep.score(x, y, k=5, clip="exact"), platorep.score(layers[1], y, k=5, clip="exact")
    assert scores[0, 0] != alone[0] or scores[1, 0] != alone[1]
    plain = platorep.score_layers(layers, [y, y[:, :5]], k=5)
    assert plain[2, 1] == platorep.score(layers[2], y[:, :5], k=5)


def test_values_are_scored_as_they_are_unless_a_clamp_is_asked_for():
    x, y = views()
    x[:, 0] *= 50  # most of the distances
    plain, clamped = (platorep.score(x, y, k=5, similarity="euclidean", clip=rule) for rule in ("none", "exact"))
    assert platorep.score(x, y, k=5, similarity="euclidean") == plain != clamped
    assert platorep.compare({"x": x, "y": y}).frame["clip"].unique().tolist() == ["none"]
    assert platorep.significance({"x": x, "y": y}, permutations=0).frame["clip"].unique().tolist() == ["none"]


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
        (lambda x: platorep.score(x, x[:-1]), DataError, r"x has 80 samples \(rows\) and y has 79; .*drop the rows"),
        (
            lambda x: platorep.score(x, x, "mutual_kn"),
            UnknownNameError,
            "unknown metric 'mutual_kn'. Did you mean 'mutual_knn'",
        ),
        (
            lambda x: platorep.score(x, x, n_neighbours=5),
            UnknownNameError,
            "unknown parameter of mutual_knn 'n_neighbours'",
        ),
        (lambda x: platorep.score(x, x, k=80), FeatureError, "k = 80 neighbours of 80 samples"),
        (lambda x: platorep.score(x[0], x), FeatureError, r"x, layer 0: shape \(12,\)"),
        (lambda x: platorep.score(x.tolist(), x), FeatureError, "got list, expected a numpy array or a torch tensor"),
        (lambda x: platorep.score(x * 1j, x), FeatureError, "complex128 holds no real numbers"),
        (lambda x: platorep.score_layers([x, x[:5]], [x]), FeatureError, r"different numbers of rows: \[5, 80\]"),
        (lambda x: platorep.score_layers([], [x]), FeatureError, "x has no layers"),
        (lambda x: platorep.score(np.where(x > 2, np.nan, x), x), FeatureError, "not finite"),
        (lambda x: platorep.compare({"a": x, "b": x[:50]}), DataError, r"a has 80 samples \(rows\) and b has 50"),
        (
            lambda x: platorep.score(x, np.ma.masked_greater(x, 2)),
            FeatureError,
            "y, layer 0: got a masked array.*Fill it.*or drop",
        ),
        (
            lambda x: platorep.score(x > 0, x),
            FeatureError,
            "dtype bool holds no real numbers; expected floating or whole ones",
        ),
        (lambda x: platorep.score(torch.from_numpy(x > 0), x), FeatureError, "dtype torch.bool holds no real numbers"),
        (
            lambda x: platorep.score(torch.from_numpy(x * 1j), x),
            FeatureError,
            "dtype torch.complex128 holds no real numbers",
        ),
        (
            lambda x: platorep.score(torch.from_numpy(x).to_sparse(), x),
            FeatureError,
            r"layout torch.sparse_coo.*x\.to_dense\(\)",
        ),
        (
            lambda x: platorep.score(torch.from_numpy(x).to("meta"), x),
            FeatureError,
            "meta device, which has a shape and no values",
        ),
        (lambda x: platorep.score(quantised(x), x), FeatureError, r"quantised tensor.*x\.dequantize\(\)"),
        (
            lambda x: platorep.score(x * 1e300, x),
            FeatureError,
            r"values up to \d.*e\+300 are too large for float32; scale the features",
        ),
        (lambda x: platorep.score(torch.from_numpy(x * 1e40), x), FeatureError, "too large for float32"),
        (lambda x: platorep.score(x.astype(np.longdouble) * 1e40, x), FeatureError, "too large for float32"),
        (lambda x: platorep.score(x, x, None), SpecError, "metric is None; expected a name such as 'mutual_knn'"),
        (
            lambda x: platorep.score(x, x, ["mutual_knn"]),
            SpecError,
            r"metric is \['mutual_knn'\]; .*`compare` takes .* a list of them",
        ),
        (lambda x: platorep.score(x, x, MutualKNN), SpecError, "metric is <class .*MutualKNN'>; expected a name"),
        (
            lambda x: platorep.compare({"a": x, "b": x}, None),
            SpecError,
            "metric is None; expected a name such as 'mutual_knn'",
        ),
        (
            lambda x: platorep.compare({"a": x, "b": x}, MutualKNN),
            SpecError,
            "metric is <class .*MutualKNN'>; expected a name",
        ),
        (
            lambda x: platorep.score(x, x, "mutual_knn(k=3)", k=5),
            SpecError,
            r"given twice: in 'mutual_knn\(k=3\)', and k beside it",
        ),
        (lambda x: platorep.score(x, x, k=True), SpecError, "k is True; expected a whole number"),
        (lambda x: platorep.score(x, x, k=torch.tensor(True)), SpecError, "expected a whole number"),
        (lambda x: platorep.score(x, x, k=5.0), SpecError, "k is 5.0; expected a whole number"),
        (lambda x: platorep.compare([x, x]), SpecError, "models is a list; expected a dict from a name"),
        (lambda x: platorep.compare({1: x, "b": x}), SpecError, "a model is named 1 .int.; expected a text. Write '1'"),
        (lambda x: platorep.compare({"a": None, "b": x}), FeatureError, "a: got NoneType, expected an array"),
        (
            lambda x: platorep.compare({"a": x, "b": x}, device="foo"),
            SpecError,
            "device 'foo' cannot be used here .*Use device=cpu or device=auto",
        ),
        (lambda x: platorep.score_layers([x], [x], device="meta"), SpecError, "device 'meta' cannot be used here"),
        (lambda x: platorep.score(x, x, quantile="a"), SpecError, "quantile is 'a'; expected a number between 0 and 1"),
        (lambda x: platorep.compare({"a": x, "b": x}, quantile=None), SpecError, "quantile is None; expected a number"),
    ],
)
def test_bad_input_is_refused_with_its_cause(call, error, message):
    with pytest.raises(error, match=message):
        call(views()[0])


def quantised(x: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch will drop them
        return torch.quantize_per_tensor(torch.from_numpy(x).float(), 0.1, 0, torch.qint8)


@pytest.mark.parametrize("dtype", [np.longdouble, ">f8", ">f4", ">i4", ">i2", "uint32", "uint64", "float16"])
def test_arrays_of_every_width_and_byte_order_score_as_float32_does(dtype):
    x, y = (np.abs(side).round(1) * 10 // 1 for side in views())
    expected = platorep.score(x.astype(np.float32), y.astype(np.float32), k=5)
    assert platorep.score(x.astype(dtype), y.astype(dtype), k=5) == expected
    assert (
        platorep.score(x.astype(dtype)[:, ::-1], y.astype(np.float32), k=5) == expected
    )  # columns in another order in memory


@pytest.mark.parametrize("k", [np.int64(5), np.uint8(5), torch.tensor(5)])
def test_whole_numbers_of_other_libraries_are_parameters(k):
    x, y = views()
    assert platorep.score(x, y, k=k) == platorep.score(x, y, k=5)


WHOLE = (1000 * views()[0]).round().astype(np.int64)


@pytest.mark.parametrize(
    "x",
    [
        views()[0] + 1e6,
        torch.from_numpy(views()[0] + 1e6),
        (views()[0] + 1e6).astype(np.longdouble),
        WHOLE + 2**29,
        np.where(np.arange(12) == 3, views()[0] + 1e8, 0.1 * views()[0]),  # one column of twelve
        1e-44 * views()[0],  # a few steps of float32 above 0
    ],
    ids=["float64", "torch", "longdouble", "int64", "one column", "tiny"],
)
def test_differences_lost_in_float32_are_warned_of_once_a_call(x):
    y = views()[1]
    for call in (
        lambda: platorep.score(x, y, "mutual_knn(k=5,similarity=euclidean)", clip="none"),
        lambda: platorep.score_layers([y, x, x], [x], "mutual_knn(k=5,similarity=euclidean)", clip="none"),
        lambda: platorep.compare(
            {"a": [y, x], "b": x}, "mutual_knn(k=5,similarity=euclidean)", clip="none", concatenation=False
        ),
    ):
        with pytest.warns(UserWarning, match="scored in float32.*Centre them first") as caught:
            call()
        assert [one.filename for one in caught] == [__file__]


@pytest.mark.parametrize(
    "x",
    [views()[0] + 100, 1e15 * views()[0], WHOLE, WHOLE.astype(np.int32) + 2**20,
     np.where(np.arange(12) == 3, 1e8 + 0.1, views()[0]),
     (views()[0] + 1e6).astype(np.float32)],
    ids=["small offset", "large", "int64", "int32", "constant column", "float32"],
)  # fmt: skip
def test_features_that_float32_holds_are_scored_without_a_warning(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        platorep.score(x, views()[1], k=5, similarity="euclidean")


@pytest.mark.parametrize("x", [views()[0] + 1e9, WHOLE + 2**60], ids=["float64", "int64"])
def test_differences_that_float32_loses_altogether_are_warned_of_and_refused(x):
    """The second has differences that float64 loses too."""
    y, metric = views()[1], "mutual_knn(k=5,similarity=euclidean)"
    with (
        pytest.warns(UserWarning, match="x, layer 0: features are scored in float32"),
        pytest.raises(FeatureError, match="^x: all samples are alike, up to rounding to float32"),
    ):
        platorep.score(x, y, metric)
    with pytest.warns(UserWarning, match=r"a, layer 0|a: layer layer\.0 left out") as caught:
        table = platorep.compare({"a": [x, y], "b": y}, metric, concatenation=False)
    assert [str(one.message).split(": ")[0] for one in caught] == ["a, layer 0", "a"]
    assert "layer layer.0 left out of mutual_knn(k=5,similarity=euclidean)" in str(caught[1].message)
    assert table.frame.score.isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: platorep.score(x, y, k=5),
        lambda x, y: platorep.score_layers([x, y + 0.5], [y], k=5),
        lambda x, y: platorep.compare({"x": x, "y": y}, ["mutual_knn(k=5)", "cknna(k=5)", "cka"], concatenation=False),
    ],
    ids=["score", "score_layers", "compare"],
)
def test_tied_neighbours_are_warned_of_where_they_are_asked_for(call):
    labels, plain = np.eye(8)[np.random.default_rng(0).integers(0, 8, 80)], views()[1]
    message = r"as near as the next in x \(up to \d+% of the samples, layer layer.0"
    with pytest.warns(UserWarning, match=message) as caught:
        call(labels, plain)
    assert [one.filename for one in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(views()[0], plain)
        platorep.score(labels, plain, "cka")


def test_unrelated_labels_are_not_called_related():
    rng = np.random.default_rng(0)
    x, y = (np.eye(10)[rng.integers(0, 10, 500)] for _ in range(2))
    with pytest.warns(UserWarning, match="exactly as near"):
        frame = platorep.compare({"x": x, "y": y}, ["mutual_knn", "cknna"], concatenation=False).frame
    assert (frame.z.abs() < 3).all()
    assert frame.score.iloc[0] == pytest.approx(10 / 499, abs=0.006)
    assert (frame.x_tied == 1).all()


@pytest.mark.parametrize(
    ("x", "metric", "message"),
    [
        (np.full((80, 3), 2.0), "mutual_knn", "x: all samples are alike"),
        (np.full((80, 3), 2.0), "cka", "x: all samples are alike"),
        (views()[0][:, :1] ** 2, "mutual_knn", "x: all samples are alike"),  # all directions are the same
        (views()[0][:, :2], "svcca", "x: svcca keeps 10 components, but the features have width 2"),
        (np.where(np.arange(80)[:, None] == 4, 0, views()[0]), "mutual_knn", "x: row 4 is the zero vector"),
    ],
)
def test_features_for_which_a_metric_is_undefined_are_refused_alone_and_left_out_of_a_table(x, metric, message):
    y = np.random.default_rng(3).normal(size=(80, 20))
    with pytest.raises(FeatureError, match=message):
        platorep.score(x, y, metric)
    with pytest.warns(UserWarning, match=message.replace("x: ", "a: layer layer.0 left out of .*: ")):
        frame = platorep.compare({"a": [x, y * y], "b": y}, metric, concatenation=False).frame
    assert frame.score.isna().tolist() == [True, False]
    with pytest.warns(UserWarning, match="left out"):
        scores = platorep.score_layers([y, x], [y], metric)
    assert np.isnan(scores).ravel().tolist() == [False, True]


def test_the_null_of_the_best_layer_pair_is_at_hand():
    x, y = views()
    noise = np.random.default_rng(5).normal(size=(80, 10))
    models = {"a": [x, x[:, :6]], "b": [y, y[:, :9]], "noise": [noise, noise[:, :7]]}
    frame = platorep.significance(models, "mutual_knn(k=5)", permutations=99).frame.set_index(["x_model", "y_model"])
    best = platorep.compare(models, "mutual_knn(k=5)").best().set_index(["x_model", "y_model"])
    assert frame.score.to_dict() == pytest.approx(best.score.to_dict())
    assert (frame.null_mean > 5 / 79 + 0.004).all()  # the maximum's lies above one pair's
    assert frame.p_value["a", "b"] == 0.01 < 0.05 < frame.p_value["a", "noise"]
    held = platorep.significance(models, "mutual_knn(k=4)", select="heldout").frame.iloc[0]
    assert (held.scored_n, held.scored_k, held.null_mean) == (40, 2, pytest.approx(2 / 39))
    with pytest.raises(DataError, match="no two different models"):
        platorep.significance({"a": x})


def test_importing_platorep_loads_no_torch_and_the_functions_do():
    program = "import sys, platorep; print('torch' in sys.modules); platorep.score; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = platorep.scores
