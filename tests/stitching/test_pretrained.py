"""Pretrained networks as chains of layers: replacing a layer by itself changes nothing, by another one everything."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from platorep.core.errors import DataError, SpecError
from platorep.models import load, resolve
from platorep.stitching.pretrained import (
    TOKENS,
    classified,
    language_network,
    spaced,
    text_blocks,
    vision_network,
)
from platorep.stitching.sides import NOISE, Parts, Receiver, Sender, class_noise
from platorep.stitching.stitch import stitch
from platorep.training.pictures import Labelled
from tests import small_models


CPU = torch.device("cpu")
TEXTS = [
    "the owl sits on a branch and looks at the moon over the lake",
    "two red boats and a lighthouse by the sea",
] * 9


def loaded(spec):
    return load(resolve(spec, CPU), CPU)


def language(folder, make=small_models.llama, **more):
    encoder = loaded(make(folder, **more))
    return language_network(encoder), text_blocks(encoder, TEXTS)


def pictures(count, side, seed=0):
    """Three classes of noise, each brighter in another channel."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    values = torch.randn(count, 3, side, side, generator=generator)
    values[torch.arange(count), labels] += 1.5
    return Labelled(values, labels, ["red", "green", "blue"])


def same_and_other(network, inputs):
    """Largest change of the logits where each layer is replaced by itself, and least where it is by another input's."""
    own = network.logits(inputs)
    states = network.layers(inputs)
    assert len(states) == len(network.names)
    kept = [float((network.top(state, number + 1) - own).abs().max()) for number, state in enumerate(states)]
    moved = [float((network.top(state.flip(0), number + 1) - own).abs().max()) for number, state in enumerate(states)]
    return max(kept), min(moved), float(own.abs().max())


@pytest.mark.parametrize("make", [small_models.llama, small_models.bloom, small_models.gemma])
def test_a_language_models_layer_in_its_own_place_changes_no_logit(tmp_path, make):
    """Rotary positions, biased attention, scaled embeddings and capped logits are all above or below the layer."""
    network, blocks = language(tmp_path / "model", make)
    with torch.no_grad():
        kept, moved, size = same_and_other(network, blocks.inputs[:4])
    assert kept < 1e-5 * size
    assert moved > 1e-2 * size


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet", "test_convnext"])
def test_a_vision_models_layer_in_its_own_place_changes_no_feature(name):
    network = vision_network(loaded(small_models.picture(name)))
    with torch.no_grad():
        kept, moved, size = same_and_other(network, pictures(4, 160).inputs)
    assert kept < 1e-5 * size
    assert moved > 1e-3 * size


def test_nothing_below_a_replaced_layer_reaches_the_logits(tmp_path):
    """The part below runs on blank input, so that a map that gives a constant gives constant logits."""
    network, blocks = language(tmp_path / "model")
    state = network.layers(blocks.inputs[:3])[0]
    with torch.no_grad():
        constant = network.top(torch.zeros_like(state), 1)
    assert torch.equal(constant[0], constant[1])
    assert not torch.equal(*network.logits(blocks.inputs[:2]))


def test_blocks_below_a_replaced_layer_are_skipped(tmp_path):
    network, blocks = language(tmp_path / "model")
    states = network.layers(blocks.inputs[:2])
    runs = []
    for block in network.model.model.layers:
        block.self_attn.register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        for number, state in enumerate(states):
            runs.clear()
            network.top(state, number + 1)
            assert len(runs) == 2 - number


def test_threads_do_not_see_each_others_layers(tmp_path):
    network, blocks = language(tmp_path / "model")
    states = network.layers(blocks.inputs)
    with torch.no_grad():
        jobs = [partial(network.top, states[i % 3] * (1 + i), i % 3 + 1) for i in range(12)]
        alone = [job() for job in jobs]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda job: job(), jobs))
    assert all(torch.equal(x, y) for x, y in zip(alone, together, strict=True))
    assert not torch.equal(alone[0], alone[3])


def test_blocks_of_text_are_labelled_with_the_next_token(tmp_path):
    encoder = loaded(small_models.llama(tmp_path / "model"))
    blocks = text_blocks(encoder, TEXTS)
    ids = encoder.tokenizer("\n".join(TEXTS), add_special_tokens=False)["input_ids"]
    assert blocks.inputs.shape == blocks.labels.shape == (len(ids) // TOKENS, TOKENS - 1)
    assert blocks.inputs[1].tolist() == ids[TOKENS : 2 * TOKENS - 1]
    assert blocks.labels[1].tolist() == ids[TOKENS + 1 : 2 * TOKENS]
    assert len(blocks.classes) == encoder.rows
    with pytest.raises(DataError, match="expected at least 64. Take more texts"):
        text_blocks(encoder, ["owl"])


def test_the_classifier_is_the_logistic_regression_of_the_features():
    network = vision_network(loaded(small_models.picture("test_resnet")))
    fit, select, test = (pictures(60, 64, seed) for seed in range(3))
    with torch.no_grad():
        x, new = network.logits(fit.inputs).double(), network.logits(test.inputs).double()
    classified(network, fit, select)
    mean, scale = x.mean(0), x.std(0, correction=0).clamp(min=1e-6)
    with torch.no_grad():
        logits = network.logits(test.inputs)
    known = []
    for strength in (1e-3, 1e-2, 1e-1, 1.0):
        model = LogisticRegression(C=strength, max_iter=2000).fit((x - mean) / scale, fit.labels)
        known.append(torch.from_numpy(model.decision_function((new - mean) / scale)).float())
    assert min(float((logits - values).abs().max()) for values in known) < 1e-3
    assert float((logits.argmax(1) == test.labels).float().mean()) > 0.8  # the classes can be told apart


def test_language_models_are_stitched_and_noise_that_knows_the_next_token_stitches_too(tmp_path):
    (a, blocks), (b, _) = (language(tmp_path / str(seed), seed=seed) for seed in range(2))
    parts = Parts(*(blocks.part(torch.arange(start, start + 8)) for start in (0, 8, 12)))
    x, y = Receiver("a", a, 0, parts), Receiver("b", b, 0, parts)
    shapes = [tuple(states[0].shape[1:]) for states in y.sender.states]
    noise = Sender("noise", partial(class_noise, shapes, len(blocks.classes), 0), parts, NOISE)
    frame = stitch([(x.sender, y), (noise, y)], epochs=60, corresponding=True, threads=2).frame
    assert "probe" not in set(frame.method)
    tasks = frame[(frame.method == "task") & (frame.control == "")]
    assert (tasks.x_layer == tasks.y_layer).all()  # corresponding layers alone
    direct = frame[(frame.method == "direct") & (frame.control == "") & (frame["rank"] == 0)]
    assert len(direct) == 9
    assert set(frame.y_layer_name) == {"block.0", "block.1", "block.2"}
    own = frame.receiver.iloc[0]
    known = frame[(frame.control == NOISE) & (frame.method == "task") & (frame.y_layer == 2)]
    assert known.accuracy.item() > own + 0.2  # an untrained receiver knows nothing; the sender knows the answer
    with torch.no_grad():
        logits = b(parts.test.inputs).double()
    loss = torch.nn.functional.cross_entropy(logits, parts.test.labels)
    assert frame.receiver_loss.iloc[0] == pytest.approx(float(loss), rel=1e-5)
    assert own == pytest.approx(float((logits.argmax(1) == parts.test.labels).double().mean()))


def test_models_without_next_tokens_are_refused(tmp_path):
    with pytest.raises(SpecError, match="gives no probabilities of next tokens: it cannot be stitched. Take causal"):
        language_network(loaded(small_models.bert(tmp_path / "bert")))


def test_layers_are_evenly_spaced_and_end_with_the_last():
    assert spaced(3) == [0, 1, 2]
    assert spaced(30) == [5, 11, 17, 23, 29]
    assert spaced(12)[-1] == 11
