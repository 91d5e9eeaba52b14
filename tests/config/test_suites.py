"""Every choice composes, every suite's entries are models, and the paper's suites hold the paper's ids."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands.configuration import model_specs
from platorep.core.specs import DatasetSpec
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
        assert spec.modality in ("language", "vision"), spec.name
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
    "task", ["run", "extract", "align", "gallery", "plot", "competence", "report", "simulate", "ls", "doctor"]
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
