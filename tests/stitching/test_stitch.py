"""Theorems of stitching with their negatives, the warning that unrelated senders stitch, and the table's numbers."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from platorep.core.errors import FeatureError
from platorep.core.specs import ModelSpec
from platorep.results.stitching import STITCHING_COLUMNS, StitchingTable
from platorep.stitching.affine import Side, Stitch, answers, by_task, direct, loss_of, resized, rows_at, rows_of
from platorep.stitching.sides import (
    NOISE,
    PIXELS,
    RANDOM,
    SELF,
    SHUFFLED,
    Parts,
    Receiver,
    Sender,
    class_noise,
    layers_of,
    pictures_as_layer,
)
from platorep.stitching.stitch import stitch
from platorep.training.networks import build
from platorep.training.pictures import labelled_pictures, split
from platorep.training.trainer import train_all
from tests.training.small_suite import DIGITS, TRAINING


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """Digits, and receivers of two seeds and of random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATOREP_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = labelled_pictures(DIGITS, 8, 1)
        specs = [
            ModelSpec(name=f"m{i}", modality="vision", source="trained", id="mlp-32", seed=i % 2, training=TRAINING)
            for i in range(2)
        ]
        specs.append(specs[0].replace(name="random", weights="random"))
        networks = train_all(specs, threads=1)
    fit, held = split(len(data))
    parts = Parts(data.part(fit[:800]), data.part(held), data.part(fit[800:1400]))
    return parts, [Receiver(spec.name, net, 32, parts) for spec, net in zip(specs, networks, strict=True)]


@pytest.fixture(scope="module")
def table(setting):
    parts, (a, b, random) = setting
    shapes = [tuple(states[0].shape[1:]) for states in a.sender.states]
    pairs = [(a.sender, b), (b.sender, a)]
    pairs.append((Sender("m0", partial(layers_of, a.network), parts, SELF), a))
    pairs.append((Sender("noise", partial(class_noise, shapes, 10, 0), parts, NOISE), a))
    pairs.append((Sender("pixels", partial(pictures_as_layer, a.sender.states[0][0]), parts, PIXELS), a))
    pairs.append((Sender("random", partial(layers_of, random.network), parts, RANDOM), a))
    return stitch(pairs, epochs=5, threads=2, dataset="digits")


def rows(table, **wanted):
    frame = table.frame
    for name, value in ({"rank": 0} | wanted).items():
        frame = frame[frame[name] == value]
    return frame


def sides(states, target):
    fit, select = rows_of(states[0]), rows_of(states[1])
    return Side(fit, select), rows_of(target[0]), rows_of(target[1])


def test_a_layer_is_stitched_to_itself_by_the_identity(setting, table):
    _, (a, b, _) = setting
    for ours, theirs in zip(a.sender.states, b.sender.states, strict=True):
        found = direct(*sides(ours, ours))
        live = ours[0].std(0) > 0
        identity = torch.eye(32)[live][:, live]
        assert torch.allclose(found.stitch.weight[live][:, live], identity, atol=1e-4)
        assert (found.strength, found.explained) == (0.0, pytest.approx(1, abs=1e-4))  # some units vary on select alone
        other = direct(*sides(ours, theirs))  # the units of another seed are in another order
        assert not torch.allclose(other.stitch.weight[live][:, live], identity, atol=0.1)
    same = rows(table, control=SELF, method="direct")
    same = same[same.x_layer == same.y_layer]
    assert (same.penalty == 0).all()
    assert (same.agreement == 1).all()
    assert len(same) == 3


def test_a_rotation_that_the_next_layer_undoes_costs_nothing(setting):
    """g' gives Q times g's layer and reads it through Q': the same function, in another basis."""
    parts, (a, b, _) = setting
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    turned = copy.deepcopy(a.network)
    basis = nn.Linear(32, 32, bias=False)
    basis.weight.data = rotation
    turned.stages[0] = nn.Sequential(turned.stages[0], basis)
    turned.stages[1].affine.weight.data = turned.stages[1].affine.weight @ rotation.T
    other = Receiver("turned", turned, 32, parts)
    found = rows(stitch([(a.sender, other)], epochs=1), method="direct", x_layer=0, y_layer=0, control="")
    assert found.penalty.item() == 0
    assert found.r2.item() == pytest.approx(1, abs=1e-4)
    seeds = rows(stitch([(a.sender, b)], epochs=1), method="direct", x_layer=0, y_layer=0, control="")
    assert seeds.r2.item() < 0.95  # another seed is no rotation


def test_the_task_loss_is_never_above_that_of_the_direct_match(setting):
    parts, (a, b, _) = setting
    for number in range(3):
        ours, theirs = a.sender.states[number], b.sender.states[number]
        start = direct(*sides(ours, theirs)).stitch
        top = partial(b.top, number + 1)
        before = loss_of(start, top, ours[0], parts.fit.labels)
        trained, after = by_task(start, top, ours[0], parts.fit.labels, epochs=2, seed=0)
        assert after <= before
        assert after == pytest.approx(loss_of(trained, top, ours[0], parts.fit.labels))
        none, same = by_task(start, top, ours[0], parts.fit.labels, epochs=0, seed=0)
        assert none is start
        assert same == before


def test_senders_that_know_only_the_class_stitch(table):
    """The warning: a low penalty does not say that two networks represent alike."""
    noise = rows(table, control=NOISE, method="task")
    assert noise.accuracy.min() > 0.98
    assert (noise.penalty < 0).all()  # better than the receiver with its own layer


def test_controls_without_the_class_fail(table):
    broken, direct_match = (rows(table, control=control, method="direct") for control in (SHUFFLED, ""))
    assert broken.accuracy.max() < 0.4
    same = direct_match[direct_match.x_layer == direct_match.y_layer]
    assert same.accuracy.min() > 0.85
    random = rows(table, control=RANDOM, method="direct")
    last = random[(random.x_layer == 2) & (random.y_layer == 2)].accuracy.item()
    assert last < same[same.x_layer == 2].accuracy.mean()
    assert broken.r2.max() < 0.05 < same.r2.min()


def test_numbers_of_a_row_agree_with_each_other_and_with_the_networks(setting, table):
    parts, (a, b, _) = setting
    frame = table.frame
    shares = frame[["both_right", "only_stitched", "only_receiver", "neither"]]
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.allclose(frame.accuracy, frame.both_right + frame.only_stitched)
    assert np.allclose(frame.penalty, frame.receiver - frame.accuracy)
    assert ((frame.low <= frame.penalty) & (frame.penalty <= frame.high)).all()
    own = (b.network(parts.test.inputs).argmax(1) == parts.test.labels).float().mean()
    assert rows(table, y_model="m1").receiver.iloc[0] == pytest.approx(float(own))
    row = rows(table, x_model="m0", y_model="m1", x_layer=1, y_layer=1, method="direct", control="").iloc[0]
    ours, theirs = a.sender.states[1], b.sender.states[1]
    match = direct(*sides(ours, theirs))
    said, losses = answers(lambda part: b.top(2, match.stitch(part)), ours[2], parts.test.labels)
    assert row.accuracy == pytest.approx(float((said == parts.test.labels).float().mean()))
    assert row.agreement == pytest.approx(float((said == b.own[0]).float().mean()))
    logits = b.top(2, match.stitch(ours[2])).double()
    assert row.loss == pytest.approx(float(nn.functional.cross_entropy(logits, parts.test.labels)))
    assert row.loss == pytest.approx(float(losses.mean()))
    assert row.r2 == pytest.approx(match.explained)
    assert 0 < row.freedom <= 32


def test_a_stitched_network_sees_the_senders_pictures(setting):
    parts, (a, b, _) = setting
    found = direct(*sides(a.sender.states[0], b.sender.states[0])).stitch
    top = partial(b.top, 1)
    first, second = (top(found(a.network.bottom(x, 1))) for x in parts.test.inputs.split(300))
    assert not torch.allclose(first, second)


def test_the_receiver_is_left_as_it_is(setting, table):
    parts, (a, *_) = setting
    before = {name: value.clone() for name, value in a.network.state_dict().items()}
    by_task(Stitch(torch.eye(32), torch.zeros(32)), partial(a.top, 1), a.sender.states[0][0], parts.fit.labels,
            epochs=1, seed=0)  # fmt: skip
    assert all(torch.equal(value, before[name]) for name, value in a.network.state_dict().items())
    assert not a.network.training


def test_maps_of_limited_rank_explain_less_and_have_that_rank(setting, table):
    _, (a, b, _) = setting
    x, fit, select = sides(a.sender.states[1], b.sender.states[1])
    one = direct(x, fit, select, rank=3).stitch.weight.double()
    assert torch.linalg.matrix_rank(one, rtol=1e-5) == 3
    limited = table.frame[(table.frame["rank"] > 0) & (table.frame.x_model == "m0")]
    for layer in range(3):
        r2 = limited[limited.x_layer == layer].sort_values("rank").r2
        whole = rows(table, x_model="m0", x_layer=layer, y_layer=layer, method="direct", control="").r2.item()
        assert r2.is_monotonic_increasing
        assert r2.iloc[-1] <= whole + 1e-6
    assert set(limited["rank"]) == {1, 2, 5, 10, 20}


def test_ridge_equals_least_squares_with_a_column_of_ones():
    rng = np.random.default_rng(0)
    x, noise = rng.standard_normal((60, 4)), 0.1 * rng.standard_normal((60, 3))
    y = x @ rng.standard_normal((4, 3)) + 2 + noise
    found = direct(Side(x[:40], x[40:]), y[:40], y[40:])
    ones = np.column_stack([x[:40], np.ones(40)])
    exact = np.linalg.lstsq(ones, y[:40], rcond=None)[0]
    if found.strength == 0:
        assert np.allclose(found.stitch.weight, exact[:4], atol=1e-5)
        assert np.allclose(found.stitch.bias, exact[4], atol=1e-5)
    penalty = found.strength * float(np.var(x[:40], axis=0).mean()) * 40
    centred = x[:40] - x[:40].mean(0)
    ridge = np.linalg.solve(centred.T @ centred + penalty * np.eye(4), centred.T @ (y[:40] - y[:40].mean(0)))
    assert np.allclose(found.stitch.weight, ridge, atol=1e-5)
    useless = direct(Side(rng.standard_normal((40, 30)), rng.standard_normal((20, 30))), y[:40], y[40:])
    assert useless.strength == 1.0
    assert useless.explained < 0.3


def test_a_map_is_one_matrix_for_all_positions_and_grids_are_made_equal():
    weight, bias = torch.randn(3, 5), torch.randn(5)
    state = torch.randn(2, 3, 4, 4)
    mapped = Stitch(weight, bias)(state)
    assert torch.allclose(mapped[1, :, 2, 3], state[1, :, 2, 3] @ weight + bias, atol=1e-5)
    assert np.allclose(rows_of(mapped), rows_of(state) @ weight.double().numpy() + bias.numpy(), atol=1e-5)
    assert resized(state, torch.zeros(1, 9, 2, 2)).shape == (2, 3, 2, 2)
    assert resized(state, torch.zeros(1, 9, 4, 4)) is state
    with pytest.raises(FeatureError, match=r"shape \(3, 4, 4\) cannot be stitched to one of shape \(7,\)"):
        resized(state, torch.zeros(1, 7))


@pytest.mark.parametrize("side", [3, 7, 16])
def test_a_map_may_be_resized_before_or_after_the_stitch(side):
    """Both are linear and the weights of a resized position add up to 1; so the sender's smaller grid suffices."""
    generator = torch.Generator().manual_seed(side)
    state, like = torch.randn(300, 3, side, side, generator=generator), torch.zeros(300, 5, 7, 7)
    stitched = Stitch(torch.randn(3, 5, generator=generator), torch.randn(5, generator=generator))
    first, last = stitched(resized(state, like)), resized(stitched(state), like)
    assert first.shape == last.shape == (300, 5, 7, 7)
    assert torch.allclose(first, last, atol=1e-5)
    relu = torch.relu(resized(state, like)), resized(torch.relu(state), like)
    assert side == 7 or not torch.allclose(*relu, atol=1e-2)  # which a non-linear map does not allow
    places = np.sort(np.random.default_rng(0).choice(300 * 49, 1000, replace=False))
    assert np.array_equal(rows_at(state, like, places), rows_of(resized(state, like))[places])


def test_convolutions_and_transformers_are_stitched_too(setting):
    parts, _ = setting
    few = Parts(*(part.part(torch.arange(30)) for part in parts))
    for architecture, layers in (("conv-4", 4), ("vit-16", 5)):
        torch.manual_seed(0)
        nets = [build(architecture, side=8, channels=1, classes=10) for _ in range(2)]
        a, b = (Receiver(name, net, 4, few) for name, net in zip("ab", nets, strict=True))
        pixels = Sender("pixels", partial(pictures_as_layer, a.sender.states[0][0]), few, PIXELS)
        found = stitch([(a.sender, b), (pixels, b)], epochs=1, rows=100)
        cells = rows(found, method="direct", control="")
        assert len(cells) == layers**2
        assert len(rows(found, control=PIXELS, method="task")) == layers
        assert (cells.rows <= 100).all()


def made(scores):
    """A table with the accuracies of direct matches, by pair of networks and layers."""
    found = []
    for (x, y, i, j), accuracy in scores.items():
        facts = {"architecture": "mlp", "width": 4, "x_model": x, "y_model": y, "x_layer": i, "y_layer": j}
        found.append(facts | {"method": "direct", "accuracy": accuracy, "penalty": 0.9 - accuracy})
    texts = {name: "" for name, kind in STITCHING_COLUMNS.items() if kind == "string"}
    numbers = {name: 0 for name, kind in STITCHING_COLUMNS.items() if kind != "string"}
    return StitchingTable.from_frame(pd.DataFrame([texts | numbers | row for row in found]))


def test_specificity_counts_the_layers_that_fit_best_where_they_belong():
    scores = {("a", "b", 0, 0): 0.8, ("a", "b", 0, 1): 0.7, ("a", "b", 1, 0): 0.6, ("a", "b", 1, 1): 0.6}
    scores |= {("b", "a", 0, 0): 0.1, ("b", "a", 0, 1): 0.2, ("b", "a", 1, 0): 0.1, ("b", "a", 1, 1): 0.5}
    found = made(scores).specificity("direct").iloc[0]
    assert (found.specificity, found.chance, found.rows) == ((1 + 0.5 + 0 + 1) / 4, 0.5, 4)
    both = made(scores).both_ways("direct")
    assert list(both.x_model) == ["a", "a"]
    assert both.forward.tolist() == pytest.approx([0.1, 0.3])
    assert both.backward.tolist() == pytest.approx([0.8, 0.4])


def test_threads_change_nothing(setting):
    _, (a, b, _) = setting
    pairs = [(a.sender, b), (b.sender, a)]
    assert stitch(pairs, epochs=1, threads=2).frame.equals(stitch(pairs, epochs=1).frame)
