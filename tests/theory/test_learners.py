"""Observations and learners: the optima that the theory predicts, reached; and what the contrasts do not reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from platorep.core.errors import SpecError
from platorep.theory import observations, worlds
from platorep.theory.learners import Encoder, Objective, Schedule, train


WORLD = worlds.grid(side=4)
TABLE = Encoder(dim=16)
QUICK = Schedule(steps=1500, rate=0.03)


def learn(objective, encoder=TABLE, view=None, seeds=(0,), schedule=QUICK):
    view = view or observations.bijection(WORLD.n, 1)
    trained = train(
        np.stack([view.world(WORLD).joint] * len(seeds)),
        np.stack([view.codes] * len(seeds)),
        encoder,
        objective,
        schedule,
        list(seeds),
    )
    seen = view.look(np.random.default_rng(0))
    return trained, trained.embeddings[:, seen]


@pytest.mark.parametrize("p_pos", [0.85, 0.95])
def test_nce_ends_at_pmi_plus_the_log_odds_of_positives(p_pos):
    _, f = learn(Objective(loss="nce", p_pos=p_pos))
    np.testing.assert_allclose(f[0] @ f[0].T, WORLD.pmi + math.log(p_pos / (1 - p_pos)), atol=1e-3)


def test_nce_cannot_reach_pmi_when_positives_are_too_few():
    _, f = learn(Objective(loss="nce", p_pos=0.5))
    assert np.abs(f[0] @ f[0].T - WORLD.pmi).max() > 0.1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_infonce_ends_at_temperature_times_pmi_plus_one_constant(temperature):
    _, f = learn(Objective(loss="infonce", temperature=temperature))
    rest = f[0] @ f[0].T / temperature - WORLD.pmi
    np.testing.assert_allclose(rest, rest.mean(), atol=5e-3)


def test_a_network_on_codes_ends_where_the_table_ends():
    _, table = learn(Objective())
    _, network = learn(
        Objective(),
        Encoder(dim=16, width=64),
        observations.bijection(WORLD.n, 7),
        schedule=Schedule(steps=2000, rate=0.01),
    )
    np.testing.assert_allclose(table[0] @ table[0].T, network[0] @ network[0].T, atol=0.02)


def test_exact_expectations_are_the_mean_of_sampled_losses():
    torch.manual_seed(0)
    joint = torch.from_numpy(WORLD.joint)[None]
    g = torch.randn(1, WORLD.n, WORLD.n, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for loss in ("nce", "infonce"):
        sampled = Objective(loss=loss, batch=4096)
        drawn = torch.stack([sampled.sampled(g, joint, 512, generator) for _ in range(10)]).mean()
        if loss == "infonce":
            drawn = drawn - math.log(513)
        assert drawn.item() == pytest.approx(sampled.exact(g, joint).item(), abs=0.02)


def test_sampled_negatives_approach_the_exact_optimum():
    trained, f = learn(Objective(loss="infonce", negatives=8), schedule=Schedule(steps=1500, rate=0.02))
    rest = f[0] @ f[0].T - WORLD.pmi
    assert rest.std() < 0.2 * WORLD.spread
    exact, _ = learn(Objective(loss="infonce"))
    assert exact.losses[0] < trained.losses[0] < exact.losses[0] + 0.02


def test_two_tables_fit_pmi_together_but_not_alone():
    trained, f = learn(Objective(loss="sgns"))
    view = observations.bijection(WORLD.n, 1)
    both = trained.embeddings[0] @ trained.others[0].T
    np.testing.assert_allclose(both, view.world(WORLD).pmi + Objective(loss="sgns").offset, atol=1e-3)
    assert np.abs(f[0] @ f[0].T - WORLD.pmi - Objective(loss="sgns").offset).max() > 0.2


def test_training_is_the_same_twice_and_a_seed_does_not_depend_on_its_companions():
    objective = Objective(loss="nce")
    schedule = Schedule(steps=50)
    one, _ = learn(objective, seeds=(3,), schedule=schedule)
    again, _ = learn(objective, seeds=(3,), schedule=schedule)
    both, _ = learn(objective, seeds=(5, 3), schedule=schedule)
    assert (one.embeddings == again.embeddings).all()
    np.testing.assert_allclose(both.embeddings[1], one.embeddings[0], rtol=1e-9, atol=1e-12)
    assert np.abs(both.embeddings[0] - one.embeddings[0]).max() > 0.1


def test_history_holds_the_initial_state_and_the_end():
    trained, _ = learn(Objective(), schedule=Schedule(steps=20, record=(0, 5)))
    assert [step for step, _, _ in trained.history] == [0, 5, 20]
    assert (trained.history[-1][1] == trained.embeddings).all()


def test_information_kept_by_observations():
    uniform = worlds.sticky_chain(events=16)
    assert observations.bijection(16, 0).information(uniform) == pytest.approx(4)
    assert observations.lossy(16, 4, 0).information(uniform) == pytest.approx(2)
    assert observations.noisy(16, 1.0, 0).information(uniform) == pytest.approx(0, abs=1e-12)
    kept = [observations.noisy(16, noise, 0).information(uniform) for noise in (0, 0.1, 0.3, 0.6)]
    assert kept == sorted(kept, reverse=True)


def test_looking_draws_symbols_with_the_channel_probabilities():
    view = observations.noisy(8, 0.5, 0)
    rng = np.random.default_rng(0)
    draws = np.stack([view.look(rng) for _ in range(4000)])
    for event in range(8):
        np.testing.assert_allclose(np.bincount(draws[:, event], minlength=8) / 4000, view.channel[event], atol=0.04)


def test_pictures_and_sentences_tell_all_events_apart():
    assert len({observations.sentence(e) for e in range(64)}) == 64
    assert len({observations.picture(e).tobytes() for e in range(64)}) == 64
    for view in (observations.pictures(3), observations.sentences(4)):
        symbol = view.look(np.random.default_rng(0))
        assert sorted(symbol) == list(range(64))
    pixels = observations.pictures(3)
    shown = pixels.codes[pixels.channel.argmax(axis=1)]
    raw = np.stack([observations.picture(e).ravel() for e in range(64)])
    assert np.corrcoef(shown[5], raw[5] - raw.mean(axis=0))[0, 1] == pytest.approx(1)


def test_wrong_values_are_refused_with_the_reason():
    with pytest.raises(SpecError, match="between 2 and 16 symbols; got 17"):
        observations.lossy(16, 17, 0)
    with pytest.raises(SpecError, match="p_pos must lie in"):
        Objective(p_pos=1.0)
    with pytest.raises(SpecError, match="loss must be"):
        Objective(loss="nse")
    with pytest.raises(SpecError, match="prediction has none"):
        Objective(loss="prediction", negatives=3)
    with pytest.raises(SpecError, match="1 seeds need joints"):
        train(WORLD.joint[None], np.zeros((2, 16, 1)), Encoder(), Objective(), QUICK, [0])
