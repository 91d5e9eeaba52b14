"""Weights follow from the spec alone: threads, company and interruptions change none of them; every setting does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import DatasetSpec, ModelSpec, TrainingSpec
from platorep.models import load, resolve
from platorep.training import trainer
from platorep.training.networks import build, pooled
from platorep.training.pictures import labelled_pictures, split, training_part
from platorep.training.trainer import kept, one_thread, schedule, train_all, trained
from tests.training.small_suite import DIGITS


TRAINING = TrainingSpec(dataset=DIGITS, epochs=3, batch=100, side=8)


def network(name="net", training=TRAINING, **fields):
    return ModelSpec(
        **{"name": name, "modality": "vision", "source": "trained", "id": "mlp-24", "training": training, **fields}
    )


def weights(net):
    return torch.cat([value.flatten() for value in net.state_dict().values()])


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch, decoded):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path))
    (tmp_path / "labelled").symlink_to(decoded / "labelled")


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """A cache that holds the decoded digits."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATOREP_CACHE", str(folder))
        labelled_pictures(DIGITS, 8, 1)
    return folder


@pytest.fixture(scope="module")
def whole(decoded):
    """The network of `network()`, trained without an interruption."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATOREP_CACHE", str(decoded))
        return trained(network())


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_do_not_depend_on_threads_or_on_other_networks(whole, threads):
    before = torch.get_num_threads()
    torch.manual_seed(threads)  # nor on the global generator
    nets = train_all([network("other", seed=5), network()], threads=threads)
    assert torch.equal(weights(nets[1]), weights(whole))
    assert not torch.equal(weights(nets[0]), weights(whole))
    assert torch.get_num_threads() == before


def test_an_error_in_one_training_ends_the_others_after_their_epoch(monkeypatch):
    epochs, run = [], trainer._run

    def fails(net, spec, part, folder, stop, report):
        if spec.seed == 1:
            raise KeyboardInterrupt

        def count(*words):
            epochs.append(words)
            report(*words)

        run(net, spec, part, folder, stop, count)

    monkeypatch.setattr(trainer, "_run", fails)
    long = TRAINING.replace(epochs=2000)
    with pytest.raises(KeyboardInterrupt):
        train_all([network("a", training=long), network("b", seed=1, training=long)], threads=2)
    assert len(epochs) < 500


@pytest.mark.parametrize("last", [1, 2])
def test_a_training_that_was_interrupted_ends_at_the_same_weights(whole, last):
    epochs = []

    def stop(done, total, what):
        epochs.append(done)
        if done == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(network(), report=stop)
    resumed = trained(network(), report=lambda done, total, what: epochs.append(done))
    assert epochs == [1, 2, 3]
    assert torch.equal(weights(resumed), weights(whole))


def test_a_damaged_file_is_made_again(whole, tmp_path):
    trained(network())
    (path,) = (tmp_path / "trained").glob("*/epoch-003.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(weights(trained(network())), weights(whole))


def test_weights_of_an_earlier_epoch_are_those_of_the_same_training(whole):
    first = weights(trained(network(training=TRAINING.replace(stop=1))))
    ran = []
    assert torch.equal(weights(trained(network(), report=lambda done, *_: ran.append(done))), weights(whole))
    assert ran == [2, 3]  # it goes on from there
    assert not torch.equal(first, weights(whole))
    start = weights(trained(network(training=TRAINING.replace(stop=0))))
    assert torch.equal(start, weights(trained(network(weights="random"))))


def test_forks_share_their_first_epochs_and_no_later_one(whole):
    fork = TRAINING.replace(shared=1, order=1)
    for stop, same in ((0, True), (1, True), (2, False)):
        ours, base = (trained(network(training=t.replace(stop=stop))) for t in (fork, TRAINING))
        assert torch.equal(weights(ours), weights(base)) == same, stop


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1},
        {"training": TRAINING.replace(labels="shuffled")},
        {"training": TRAINING.replace(pictures="first")},
        {"training": TRAINING.replace(classes="second")},
        {"training": TRAINING.replace(rate=1e-3)},
    ],
)
def test_every_setting_changes_the_weights(whole, fields):
    assert not torch.equal(weights(trained(network(**fields))), weights(whole))


def test_networks_learn_and_shuffled_labels_teach_nothing():
    data = labelled_pictures(DIGITS, 8, 1)
    held = data.part(split(len(data))[1])
    longer = TRAINING.replace(epochs=10, rate=3e-3)

    def accuracy(**fields):
        net = trained(network(**fields))
        return float((net(held.inputs).argmax(1) == held.labels).float().mean())

    assert len(held) == len(data) // 12
    for architecture in ("mlp-24", "conv-8", "vit-16"):
        assert accuracy(id=architecture, training=longer.replace(epochs=20)) > 0.75, architecture
    assert accuracy(training=longer.replace(labels="shuffled")) < 0.3
    assert accuracy(training=longer.replace(stop=0)) < 0.3


def test_parts_of_the_training_pictures():
    data = labelled_pictures(DIGITS, 8, 1)
    fit, held = split(len(data))
    assert sorted([*fit.tolist(), *held.tolist()]) == list(range(len(data)))
    halves = [training_part(data, TRAINING.replace(pictures=half)) for half in ("first", "second")]
    joined = torch.cat([half.inputs for half in halves])
    assert torch.equal(joined, training_part(data, TRAINING).inputs)
    lower, upper = (training_part(data, TRAINING.replace(classes=half)) for half in ("first", "second"))
    assert (set(lower.labels.tolist()), set(upper.labels.tolist())) == ({0, 1, 2, 3, 4}, {5, 6, 7, 8, 9})
    shuffled, true = (training_part(data, TRAINING.replace(labels=labels)) for labels in ("shuffled", "true"))
    assert torch.equal(shuffled.labels.bincount(), true.labels.bincount())
    assert (shuffled.labels == true.labels).float().mean() < 0.2


def test_layers_are_the_outputs_of_the_stages_and_the_top_is_the_rest():
    for architecture, shape in (("mlp-6", (2, 6)), ("conv-4", (2, 8, 2, 2)), ("vit-16", (2, 16, 16))):
        net = build(architecture, side=8, channels=3, classes=5)
        pictures = torch.rand(2, 3, 8, 8)
        layers = net.layers(pictures)
        assert layers[-1].shape == shape
        assert pooled(layers[-1]).ndim == 2
        for count in range(len(layers) + 1):
            state = net.bottom(pictures, count)
            assert torch.equal(net.top(state, count), net(pictures))
            assert count == 0 or torch.equal(state, layers[count - 1])


def test_a_trained_network_is_a_model_like_any_other():
    cpu = torch.device("cpu")
    spec = resolve(network(), cpu)
    encoder = load(spec, cpu)
    data = labelled_pictures(DIGITS, 8, 1)
    features = encoder.encode(data.inputs[:5]).features
    assert [part.shape for part in features] == [(5, 24)] * 3
    assert torch.equal(features[1], trained(network()).layers(data.inputs[:5])[1])
    assert str(spec.revision).startswith("1-torch-")
    assert spec.pool == "mean"
    other = resolve(network(training=TRAINING.replace(epochs=2)), cpu)
    assert other.key() != spec.key()
    noisy = load(resolve(network(weight_noise=0.5), cpu), cpu).encode(data.inputs[:5]).features
    assert not torch.equal(noisy[0], features[0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "mlp"}, "architecture 'mlp'; expected mlp-W, conv-W or vit-W with a width"),
        ({"training": None}, r"needs training\.dataset"),
        ({"training": TRAINING.replace(epochs=30, stop=7)}, "epochs 0, 1, 2, 5, 10, 20, 30 are kept"),
        ({"pool": "max"}, "pool is 'max'; layers of source=trained are means over positions"),
        ({"modality": "sound"}, "modality is 'sound'; source=trained has vision"),
    ],
)
def test_other_settings_are_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        resolve(network(**fields), torch.device("cpu"))


def test_a_transformer_needs_whole_patches_and_heads():
    with pytest.raises(SpecError, match="width divisible by 16 and a side divisible by 4"):
        build("vit-20", side=28, channels=1, classes=10)


def test_a_dataset_without_classes_is_refused():
    words = DatasetSpec(name="emoji", source="digits", n=2, order_seed=0, on_bad_sample="drop")
    with pytest.raises(Exception, match="no two categories"):
        labelled_pictures(words.replace(n=2, order_seed=_seed_of_one_class()), 8, 1)


def _seed_of_one_class():
    from platorep.data import open_dataset

    return next(
        seed
        for seed in range(100)
        if len(set(open_dataset(DIGITS.replace(n=2, order_seed=seed)).samples.categories)) == 1
    )


def test_the_rate_rises_and_falls():
    rates = [schedule(done / 1000) for done in range(1001)]
    assert max(rates) == pytest.approx(1, abs=0.03)
    assert rates[0] < 0.03
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert kept(3) == [0, 1, 2, 3]
    assert kept(25) == [0, 1, 2, 5, 10, 20, 25]


def test_threads_that_begin_after_a_training_have_the_number_of_before(whole):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        train_all([network(f"n{seed}", seed=seed) for seed in (11, 12, 13)], threads=2)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_is_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), one_thread():
        raise RuntimeError
    assert torch.get_num_threads() == before
