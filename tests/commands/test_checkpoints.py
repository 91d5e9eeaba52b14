"""Entries that list checkpoints: what they stand for, as a suite and on the command line, and what is refused."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from platorep.cli.schema import config_dir
from platorep.commands.checkpoints import entries, step_of
from platorep.commands.configuration import model_specs
from platorep.core.errors import SpecError, UnknownNameError
from tests.config.test_suites import composed


HUB = {"modality": "language", "source": "transformers", "id": "owner/model"}
HERE = {
    "modality": "vision",
    "source": "trained",
    "id": "mlp-8",
    "training": {"dataset": {"name": "digits"}, "epochs": 5},
}
BETWEEN = {"modality": "vision", "source": "pixels", "id": "pixels-8x8"}


def test_an_entry_per_revision_in_its_place_with_the_step_that_it_names():
    made = entries({"lm": {**HUB, "revisions": ["step0", "stage1-step150-tokens1B"]}, "pixels": BETWEEN})
    assert made == {
        "lm-step0": {**HUB, "revision": "step0", "step": 0, "trajectory": "lm"},
        "lm-stage1-step150-tokens1B": {
            **HUB, "revision": "stage1-step150-tokens1B", "step": 150, "trajectory": "lm"
        },
        "pixels": BETWEEN,
    }  # fmt: skip


def test_a_mapping_states_the_steps():
    made = entries({"lm": {**HUB, "revisions": {"main": 143000, "step1-of-2": 5}}})
    assert {name: entry["step"] for name, entry in made.items()} == {"lm-main": 143000, "lm-step1-of-2": 5}


def test_a_network_per_epoch_that_differs_in_stop_alone():
    made = entries({"net": {**HERE, "stops": [0, 2, 5]}})
    assert list(made) == ["net-epoch0", "net-epoch2", "net-epoch5"]
    assert [(entry["step"], entry["training"]["stop"], entry["trajectory"]) for entry in made.values()] == [
        (0, 0, "net"), (2, 2, "net"), (5, 5, "net"),
    ]  # fmt: skip
    assert all({**entry["training"], "stop": None} == {**HERE["training"], "stop": None} for entry in made.values())


def test_entries_without_a_list_are_left_as_they_are():
    assert entries({"lm": HUB, "net": {**HERE, "stops": None}, "wrong": 3}) == {"lm": HUB, "net": HERE, "wrong": 3}


@pytest.mark.parametrize(
    ("revision", "step"),
    [("step1000", 1000), ("step1000-tokens4B", 1000), ("stage1-step928646-tokens3896B", 928646), ("ckpt_7", 7),
     ("global_step_20", 20), ("stage2-ingredient1-step9000-tokens19B", 9000), ("checkpoint-500", 500)],
)  # fmt: skip
def test_the_step_is_the_number_after_the_word_or_the_only_one(revision, step):
    assert step_of(revision, "models.lm.revisions") == step


REFUSED = [
    ({**HUB, "revisions": "step1"}, r"models.a.revisions is 'step1'; expected a list such as \[step1000, step4000\]"),
    ({**HUB, "revisions": []}, r"models.a.revisions is \[\]; expected a list"),
    ({**HUB, "revisions": {}}, "models.a.revisions is empty"),
    ({**HUB, "revisions": [1000]}, r"models.a.revisions has 1000 \(int\); expected names, such as step1000"),
    ({**HUB, "revisions": ["step1", "step1"]}, "models.a.revisions has 'step1' twice"),
    ({**HUB, "revisions": ["step1", "step1-tokens1B"]}, "step1 and step1-tokens1B are both step 1"),
    ({**HUB, "revisions": ["main"]}, r"'main' names no number; .* State it: revisions: {main: STEP}"),
    ({**HUB, "revisions": ["v1.2"]}, "'v1.2' names several numbers; expected one step"),
    ({**HUB, "revisions": {"main": "1k"}}, "the step of main is '1k'; expected a whole number"),
    ({**HUB, "revisions": {"main": True}}, "the step of main is True; expected a whole number"),
    ({**HUB, "revisions": ["step1"], "revision": "main"}, "models.a has revision 'main' and revisions"),
    ({**HUB, "revisions": ["step1"], "step": 3}, "models.a has step and revisions; revisions sets it"),
    ({**HUB, "revisions": ["step1"], "weights": "random"}, "random weights are the same at every step"),
    ({**HUB, "stops": [1]}, "models.a.stops are epochs of a network of source=trained; models.a has no training"),
    ({**HERE, "stops": [1], "revisions": ["step1"]}, "models.a has revisions and stops; expected one of them"),
    ({**HERE, "stops": "0,1"}, r"models.a.stops is '0,1'; expected a list such as \[0, 1, 2, 5\]"),
    ({**HERE, "stops": [0, 1, 1]}, "models.a.stops has 1 twice"),
    ({**HERE, "stops": [0, -1]}, "models.a.stops has -1; expected whole numbers of epochs"),
    ({**HERE, "stops": [0, 1.5]}, "models.a.stops has 1.5; expected whole numbers of epochs"),
    ({**HERE, "training": {**HERE["training"], "stop": 2}, "stops": [1]}, "models.a has training.stop 2 and stops"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), REFUSED)
def test_what_is_no_list_of_checkpoints_is_refused(entry, message):
    with pytest.raises(SpecError, match=message):
        entries({"a": entry})


@pytest.mark.parametrize("order", [1, -1])
def test_a_checkpoint_with_the_name_of_an_entry_is_refused_in_either_order(order):
    models = [("lm", {**HUB, "revisions": ["step1"]}), ("lm-step1", {"dtype": "float16"})][::order]
    with pytest.raises(SpecError, match=r"models.lm-step1 is an entry as well as a checkpoint .* Rename the entry"):
        entries(dict(models))


def test_only_takes_all_checkpoints_of_an_entry_or_one_of_them():
    every = composed("suite=pythia_steps", "only=pythia-410m")
    assert [spec.step for spec in model_specs(every)][-3:] == [32000, 64000, 143000]
    assert len(model_specs(every)) == 16
    two = composed("suite=pythia_steps", "only='pythia-160m-step64,clip-large'")
    assert [spec.name for spec in model_specs(two)] == ["pythia-160m-step64", "clip-large"]
    with pytest.raises(UnknownNameError, match="unknown model 'pythia-160m-step3'. Did you mean 'pythia-160m-step"):
        model_specs(composed("suite=pythia_steps", "only=pythia-160m-step3"))


def test_revisions_are_changed_on_the_command_line():
    specs = model_specs(composed("suite=pythia_steps", "models.pythia-410m.revisions=[step2,step32]"))
    assert [spec.revision for spec in specs if spec.trajectory == "pythia-410m"] == ["step2", "step32"]


def test_a_sweep_over_a_suite_runs_through_its_checkpoints():
    models = OmegaConf.load(config_dir() / "suite" / "pythia_steps.yaml").models
    cfg = OmegaConf.create({"models": models, "names": "${platorep.names:${models}}"})
    assert cfg.names.split(",") == [spec.name for spec in model_specs(composed("suite=pythia_steps"))]
