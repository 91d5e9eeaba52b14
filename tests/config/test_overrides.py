"""Every field of a model, a dataset, a corpus and a task can be set by `key=value`, whether or not a file names it."""

import pytest
from hydra.errors import ConfigCompositionException

from platorep import pipeline
from platorep.core.errors import UnknownNameError
from platorep.core.specs import CorpusSpec, DatasetSpec, TaskSpec
from tests.config.test_suites import composed


def test_every_field_of_a_hub_dataset_is_set_without_a_plus():
    words = ["dataset.id=owner/name", "dataset.split=test", "dataset.config=plain", "dataset.revision=v1"]
    spec = pipeline.dataset_spec(composed("dataset=hub", *words, "dataset.columns.category=label"))
    assert (spec.split, spec.config, spec.revision) == ("test", "plain", "v1")
    assert spec.columns == {"image": "image", "text": "text", "category": "label"}


def test_a_model_of_a_suite_takes_any_field_and_the_others_stay():
    changed = {
        spec.name: spec
        for spec in pipeline.model_specs(
            composed("suite=prh", "models.llama-7b.revision=abc", "models.mae-base.pool=mean")
        )
    }
    before = {spec.name: spec for spec in pipeline.model_specs(composed("suite=prh"))}
    assert changed["llama-7b"] == before["llama-7b"].replace(revision="abc")
    assert changed["mae-base"] == before["mae-base"].replace(pool="mean")
    assert sum(changed[name] != before[name] for name in before) == 2


def test_a_model_is_added_without_a_plus():
    cfg = composed("suite=synthetic", "models.mine={modality:vision,source:timm,id:resnet18}")
    assert [spec.name for spec in pipeline.model_specs(cfg)][-1] == "mine"


def test_corpora_and_tasks_take_any_field_too():
    corpus = CorpusSpec.from_dict(composed("corpus=openwebtext", "corpus.split=test", "corpus.column=body")["corpus"])
    assert (corpus.split, corpus.column) == ("test", "body")
    cfg = composed("probe=vtab", "probe.tasks.dtd.dataset.revision=abc")
    assert TaskSpec.from_dict({"name": "dtd", **cfg["probe"]["tasks"]["dtd"]}).dataset.revision == "abc"


def test_names_that_do_not_exist_are_still_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown field of ModelSpec 'revison'. Did you mean 'revision'"):
        pipeline.model_specs(composed("suite=tiny", "models.gpt2.revison=abc"))
    with pytest.raises(UnknownNameError, match="unknown model 'gpt3'. Did you mean 'gpt2'"):
        pipeline.model_specs(composed("suite=tiny", "models.gpt3.revision=abc"))
    with pytest.raises(UnknownNameError, match="unknown field of DatasetSpec 'spilt'. Did you mean 'split'"):
        DatasetSpec.from_dict(composed("dataset=hub", "dataset.id=a/b", "dataset.spilt=test")["dataset"])


def test_keys_outside_the_open_mappings_still_need_a_plus():
    with pytest.raises(ConfigCompositionException, match="compute.devise"):
        composed("compute.devise=cpu")
