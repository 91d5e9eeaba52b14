"""Every choice composes, every suite's entries are models, and the paper's suites hold the paper's ids."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands.configuration import model_specs
from platorep.core.specs import DatasetSpec, ModelSpec
from platorep.metrics.registry import build


schema.register()


def choices(group):
    return sorted(path.stem for path in (schema.config_dir() / group).glob("*.yaml"))


def composed(*overrides, task="run"):
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(task, overrides=list(overrides)), resolve=True)


@pytest.mark.parametrize("suite", choices("suite"))
def test_every_model_of_a_suite_names_family_modality_upstream_and_licence(suite):
    cfg = composed(f"suite={suite}")
    assert cfg["suite"] == suite
    for spec in model_specs(cfg):
        assert spec.modality in ("language", "vision", "sound", *(["brain"] if spec.source == "matrix" else []))
        assert spec.family, spec.name
        assert spec.upstream, spec.name
        assert spec.licence, spec.name


@pytest.mark.parametrize("suite", choices("suite"))
def test_every_downloaded_file_of_a_suite_is_pinned(suite):
    for spec in model_specs(composed(f"suite={suite}")):
        for asset in [] if spec.asset is None else [spec.asset, *spec.asset.parts]:
            assert len(asset.sha256) == 64, spec.name


@pytest.mark.parametrize("dataset", choices("dataset"))
def test_every_dataset_composes_to_a_spec(dataset):
    spec = DatasetSpec.from_dict(composed(f"dataset={dataset}")["dataset"])
    assert spec.name


@pytest.mark.parametrize("metric", choices("metric"))
def test_every_metric_is_built_from_its_file(metric):
    for name, options in composed(f"metric={metric}")["metric"].items():
        assert build(name, **options).name == name


@pytest.mark.parametrize("group", ["protocol", "compute", "figure"])
def test_every_other_choice_composes(group):
    for choice in choices(group):
        composed(f"{group}={choice}")


@pytest.mark.parametrize(
    "task",
    [
        "run",
        "extract",
        "align",
        "gallery",
        "units",
        "neighbours",
        "plot",
        "competence",
        "report",
        "simulate",
        "ls",
        "doctor",
    ],
)
def test_every_command_has_its_configuration(task):
    assert composed(task=task)["suite"] == "offline"


def test_a_model_can_be_removed_and_another_added_from_the_command_line():
    cfg = composed("suite=synthetic", "~models.pixels", "+models.mine={modality:vision,source:timm,id:resnet18}")
    assert [spec.name for spec in model_specs(cfg)] == ["tfidf", "vit_random", "efficientnet_random", "mine"]


def test_prh_is_the_12_by_17_of_figure_3():
    specs = model_specs(composed("suite=prh"))
    language = [spec.id for spec in specs if spec.modality == "language"]
    vision = [spec.id for spec in specs if spec.modality == "vision"]
    assert (len(set(language)), len(set(vision))) == (12, 17)
    assert "huggyllama/llama-30b" in language
    assert sum("bloomz" in name for name in language) == 5
    assert [name for name in vision if "giant" in name] == ["vit_giant_patch14_dinov2.lvd142m"]


def test_prh_downstream_is_20_language_models_against_dinov2_giant():
    specs = model_specs(composed("suite=prh_downstream"))
    assert len({spec.id for spec in specs if spec.modality == "language"}) == 20
    assert [spec.id for spec in specs if spec.modality == "vision"] == ["vit_giant_patch14_dinov2.lvd142m"]


def test_the_ladders_differ_from_their_base_in_one_dial_only():
    specs = {spec.name: spec for spec in model_specs(composed("suite=offline"))}
    for name, spec in specs.items():
        if "noise" in name:
            assert spec.replace(name="smollm2_135m", weight_noise=0.0) == specs["smollm2_135m"]
        if name.endswith("px"):
            assert spec.replace(name="lite0", input_size=None) == specs["lite0"]


# suites newer than the paper's

NEW = ["modern_language", "modern_vision", "olmo_steps", "pythia_steps"]


@pytest.mark.parametrize("suite", [*NEW, "prh", "prh_downstream", "prh_vision", "tiny"])
def test_suites_of_the_hub_state_size_and_access_of_every_model(suite):
    for spec in model_specs(composed(f"suite={suite}")):
        assert spec.parameters is not None, spec.name
        assert spec.parameters > 10**6, spec.name
        expected = {"google": "gated", "meta-llama": "gated", "mistralai": "unknown"}
        assert spec.access == expected.get(spec.id.partition("/")[0], "open"), spec.name
        assert spec.key() == spec.replace(parameters=None, access="unknown", licence="", family="").key()


@pytest.mark.parametrize("suite", [*NEW, "prh", "prh_vision", "tiny"])
def test_every_timm_model_is_in_timms_registry_at_the_repository_that_its_upstream_names(suite):
    import timm

    for spec in model_specs(composed(f"suite={suite}")):
        if spec.source == "timm":
            known = timm.get_pretrained_cfg(spec.id, allow_unregistered=False)
            assert known is not None, spec.id
            assert known.hf_hub_id == spec.upstream


def test_the_stated_size_is_that_of_the_architecture():
    """The smallest and the largest of each family: building all of them would take a minute."""
    import timm
    import torch

    families = {}
    for spec in model_specs(composed("suite=modern_vision")):
        if spec.source == "timm":
            families.setdefault(spec.family, []).append(spec)
    assert len(families) == 7
    for specs in families.values():
        for spec in (min(specs, key=lambda s: s.parameters), max(specs, key=lambda s: s.parameters)):
            with torch.device("meta"):
                model = timm.create_model(spec.id, pretrained=False)
            assert sum(p.numel() for p in model.parameters()) == spec.parameters, spec.id


def test_modern_language_has_the_families_in_several_sizes():
    specs = [spec for spec in model_specs(composed("suite=modern_language")) if spec.modality == "language"]
    sizes = {}
    for spec in specs:
        sizes.setdefault(spec.family, []).append(spec.parameters)
    assert sizes.keys() == {
        "llama3", "qwen2.5", "qwen3", "gemma2", "gemma3", "olmo2", "smollm2", "smollm3", "mistral", "phi",
    }  # fmt: skip
    assert all(len(own) >= 3 and own == sorted(own) for family, own in sizes.items() if family != "smollm3")
    assert len({spec.id for spec in specs}) == len(specs)
    assert not [spec.id for spec in specs if "instruct" in spec.id.lower() or spec.id.endswith("-it")]


def test_pythia_steps_are_published_checkpoints_and_each_has_a_key_of_its_own():
    published = {0, *(2**k for k in range(10)), *range(1000, 144_000, 1000)}
    specs = [spec for spec in model_specs(composed("suite=pythia_steps")) if spec.modality == "language"]
    assert len({spec.key() for spec in specs}) == len(specs) == 48
    for spec in specs:
        step = int(spec.revision.removeprefix("step"))
        assert step in published
        assert spec.name == f"{spec.id.removeprefix('EleutherAI/')}-step{step}"
        assert spec.step == step


def test_pythia_steps_are_the_models_that_were_once_written_out_one_by_one():
    """Names and keys, on which stored features depend, as in the suite before it listed revisions."""
    steps = (0, 1, 4, 16, 64, 128, 256, 512, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 143000)
    sizes = {"pythia-160m": 162322944, "pythia-410m": 405334016, "pythia-1.4b": 1414647808}
    former = [
        ModelSpec(
            name=f"{name}-step{step}", modality="language", source="transformers", id=f"EleutherAI/{name}",
            revision=f"step{step}", family=name, parameters=parameters, access="open", upstream=f"EleutherAI/{name}",
            licence="Apache-2.0",
        )
        for name, parameters in sizes.items()
        for step in steps
    ]  # fmt: skip
    specs = [spec for spec in model_specs(composed("suite=pythia_steps")) if spec.modality == "language"]
    assert [spec.replace(step=None, trajectory="") for spec in specs] == former
    assert [spec.key() for spec in specs] == [spec.key() for spec in former]
    assert [specs[0].key(), specs[-1].key()] == ["dde091ddbadc", "25b720e1bc36"]


def test_olmo_steps_follow_the_naming_of_the_model_cards():
    specs = [spec for spec in model_specs(composed("suite=olmo_steps")) if spec.modality == "language"]
    batches = {"allenai/OLMo-2-0425-1B": 512 * 4096, "allenai/OLMo-2-1124-7B": 1024 * 4096}  # tokens per step
    assert {spec.id for spec in specs} == {*batches}
    for spec in specs:
        billions = -(-spec.step * batches[spec.id] // 10**9)
        assert spec.revision == f"stage1-step{spec.step}-tokens{billions}B"
        assert spec.name == f"{spec.trajectory}-{spec.revision}"


def test_fashion_steps_are_epochs_of_networks_of_the_suite_fashion():
    """They share their trainings."""
    whole = {spec.name: spec for spec in model_specs(composed("suite=fashion"))}
    specs = [spec for spec in model_specs(composed("suite=fashion_steps")) if spec.step is not None]
    assert len(specs) == 22
    for spec in specs:
        training = whole[spec.trajectory].training
        assert spec.replace(training=training).key() == whole[spec.trajectory].key()
        assert spec.training == training.replace(stop=spec.step)
        assert spec.name == f"{spec.trajectory}-epoch{spec.step}"
