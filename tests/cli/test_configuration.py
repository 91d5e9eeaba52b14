"""Configuration to specs: what the words mean, and what is refused."""

import pytest
import torch

from platorep.cli.schema import config_dir
from platorep.commands.configuration import experiment, model_specs
from platorep.commands.failures import Failure, failure, raise_failures
from platorep.core.errors import PlatorepError, SpecError, StoreError, UnknownNameError
from platorep.core.lookup import find_features
from platorep.core.samples import Samples
from platorep.core.specs import DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter
from tests.e2e.runs import configuration


SAMPLES = Samples(ids=["a", "b", "c"], captions=[["a"], ["b"], ["c"]])
MODEL = ModelSpec(name="net", modality="vision", source="timm", id="net", revision="r1", dtype="float32", pool="cls")
SPEC = ExtractSpec(model=MODEL, dataset=DatasetSpec(name="pairs", source="synthetic", revision="d1"))


def put(store, spec):
    writer = FeatureWriter(store, spec, SAMPLES, 2)
    for i, (start, stop) in enumerate(writer.bounds):
        writer.write(i, {"layer": torch.ones(stop - start, 2)})
    writer.finish({})
    return store.open(spec)


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path)


def test_features_are_found_by_a_spec_that_leaves_revision_dtype_and_pool_open(store):
    found = put(store, SPEC)
    asked = SPEC.replace(
        model=MODEL.replace(revision=None, dtype="auto", pool="auto"), dataset=SPEC.dataset.replace(revision=None)
    )
    assert find_features(store, asked, lambda spec: None).path == found.path


@pytest.mark.parametrize("name", ["org/model", "my model", "a[1]", "模型", "x" * 300])
def test_features_are_found_by_a_name_that_is_no_file_name(store, name):
    put(store, SPEC.replace(model=MODEL.replace(name="model", seed=1)))
    stored = put(store, SPEC.replace(model=MODEL.replace(name=name)))
    asked = SPEC.replace(model=MODEL.replace(name=name, revision=None))
    assert find_features(store, asked, lambda spec: None).path == stored.path


def test_damaged_features_are_named_and_not_taken_for_absent(store):
    stored = put(store, SPEC)
    (stored.path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"manifest.json is damaged"):
        find_features(store, SPEC, lambda spec: None)
    fits = put(store, SPEC.replace(model=MODEL.replace(seed=1)))
    assert find_features(store, fits.spec, lambda spec: None).path == fits.path


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "random"},
        {"input_size": 32},
        {"weight_noise": 0.1},
        {"pool": "mean"},
        {"revision": "r2"},
        {"dtype": "bfloat16"},
    ],
)
def test_features_of_another_model_under_the_same_name_are_not_taken(store, change):
    put(store, SPEC)
    with pytest.raises(StoreError, match="no features of net on pairs .* Run `platorep extract`"):
        find_features(store, SPEC.replace(model=MODEL.replace(**change)), lambda spec: None)


def test_an_open_spec_that_fits_two_extractions_is_refused_with_both(store):
    put(store, SPEC)
    put(store, SPEC.replace(model=MODEL.replace(revision="r2")))
    with pytest.raises(StoreError, match=r"2 extractions of net on pairs fit: .*revision r1.*revision r2"):
        find_features(store, SPEC.replace(model=MODEL.replace(revision=None)), lambda spec: None)


CONFIG = {
    "models": {"net": {"modality": "vision", "source": "timm", "id": "net"}},
    "dtype": None,
    "pool": None,
    "only": None,
}


def test_model_entry_becomes_a_spec_and_shared_words_override_it():
    assert model_specs({**CONFIG, "pool": "mean"}) == [
        ModelSpec(name="net", modality="vision", source="timm", id="net", pool="mean")
    ]


def test_only_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown model 'nat'. Did you mean 'net'"):
        model_specs({**CONFIG, "only": "nat"})


def test_empty_suite_is_refused():
    with pytest.raises(SpecError, match="no models to run"):
        model_specs({**CONFIG, "models": {}})


def test_model_that_is_no_mapping_is_refused():
    with pytest.raises(SpecError, match="models.net is 'x'; expected a mapping"):
        model_specs({**CONFIG, "models": {"net": "x"}})


def test_failed_models_are_listed_at_the_end():
    raise_failures([])
    with pytest.raises(
        PlatorepError, match=r"1 of the models or tasks failed; the others are done:\n  net: ValueError: bad"
    ):
        raise_failures([Failure("net", "ValueError: bad")])


def test_a_failure_has_the_name_of_its_model_once(caplog):
    failed = failure("net", SpecError("net: no such weights"))
    assert failed == Failure("net", "SpecError: no such weights")
    assert caplog.messages == ["net: no such weights"]


def test_configuration_folder_is_found():
    assert (config_dir() / "run.yaml").is_file()


OWN = "asset: {source: path, id: /mine}"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["captions.model={id: mine}"], "its name."),
        (["captions.model.id=mine"], "its name."),
        (["captions=smollm2_135m", "captions.model={id: mine, name: mine}"], "its asset."),
        (["captions=smollm2_135m", "captions.model.id=mine"], "its name and asset."),
        ([f"++captions.model={{name: mine, {OWN}}}"], "its id."),
    ],
)
def test_a_captions_model_of_one_s_own_takes_nothing_from_the_chosen_one(words, left, tmp_path):
    """Hydra merges it into the chosen one: once, another model ran under the name that was given, or the reverse."""
    with pytest.raises(SpecError, match=f"of captions.model, but the chosen model would keep {left}"):
        experiment(configuration(tmp_path, *words, command="captions"), words)


@pytest.mark.parametrize(
    "words",
    [
        [f"++captions.model={{name: mine, id: mine, {OWN}}}"],
        ["captions=smollm2_135m", "captions.model={name: mine, id: mine, asset: null}"],
        ["captions.model.name=mine", "++captions.model.id=mine"],
    ],
)
def test_a_whole_captions_model_loses_the_labels_of_the_chosen_one(words, tmp_path):
    model = experiment(configuration(tmp_path, *words, command="captions"), words).captions.model
    assert (model["name"], model["id"]) == ("mine", "mine")
    assert not {"family", "upstream", "licence"} & set(model)


def test_a_captions_model_may_be_renamed_and_its_settings_changed(tmp_path):
    words = ["captions.model.name=llama", "captions.model.family=mine", "captions.batch=2", "+captions.model.dtype=x"]
    model = experiment(configuration(tmp_path, *words, command="captions"), words).captions.model
    assert (model["name"], model["family"], model["id"]) == ("llama", "mine", "meta-llama/Meta-Llama-3-8B-Instruct")
