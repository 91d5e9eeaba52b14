"""Specs: JSON both ways, keys that cover what matters and only that, errors with the nearest names."""

import dataclasses
import json
from pathlib import Path

import pytest

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.specs import AssetSpec, DatasetSpec, ExtractSpec, GenerateSpec, ModelSpec


GOLDEN = Path(__file__).parent / "golden_keys.json"

MODEL = ModelSpec(name="lite0", modality="vision", source="timm", id="tf_efficientnet_lite0", revision="abc")
DATASET = DatasetSpec(name="stamps", source="stamps", revision="def")
ASSET = AssetSpec(source="wheel", id="pkg==1.0", sha256="0" * 64, members=("pkg/weights.pth",))
EXAMPLES = {
    "plain": ExtractSpec(model=MODEL, dataset=DATASET),
    "noisy": ExtractSpec(model=MODEL.replace(weight_noise=0.1, seed=3), dataset=DATASET),
    "asset": ExtractSpec(model=MODEL.replace(asset=ASSET), dataset=DATASET.replace(assets=(ASSET,))),
    "prompt": ExtractSpec(
        model=MODEL, dataset=DATASET.replace(n=100, order_seed=0), prompt="A {caption}.", span="caption"
    ),
    "generated": ExtractSpec(
        model=MODEL, dataset=DATASET, span="generated", generated=GenerateSpec(tokens=16, temperature=0.7, seed=0)
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_key_is_the_golden_key(name):
    """Keys name folders on users' disks: one that changes orphans every stored feature. Raise SPEC_VERSION instead."""
    assert EXAMPLES[name].key() == json.loads(GOLDEN.read_text())[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_round_trip_gives_an_equal_spec(name):
    text = json.dumps(EXAMPLES[name].to_dict())
    assert ExtractSpec.from_dict(json.loads(text)) == EXAMPLES[name]


def _another(value):
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case dict():
            return {**value, "more": "x"}
        case tuple():
            return (*value, ASSET)
        case None:
            return "other"
        case _:
            return f"{value}-other"


@pytest.mark.parametrize("spec", [MODEL, DATASET, ASSET, EXAMPLES["plain"]], ids=lambda s: type(s).__name__)
def test_key_covers_every_field_but_the_labels(spec):
    for field in dataclasses.fields(spec):
        if field.name in ("model", "dataset"):
            continue
        value = (
            "A {caption}"
            if field.name == "prompt"
            else ("x",)
            if field.name == "members"
            else _another(getattr(spec, field.name))
        )
        changed = spec.replace(**{field.name: value})
        assert (changed.key() == spec.key()) == bool(field.metadata.get("label")), field.name


def test_key_covers_number_temperature_and_seed_of_generated_tokens():
    spec = EXAMPLES["generated"]
    for change in ({"tokens": 17}, {"temperature": 0.0}, {"seed": 1}):
        assert spec.replace(generated=spec.generated.replace(**change)).key() != spec.key()
    with pytest.raises(SpecError, match="expected generated with tokens, temperature and seed"):
        spec.replace(generated=None)
    with pytest.raises(SpecError, match="generated.tokens"):
        spec.generated.replace(tokens=0)


def test_key_of_an_extraction_covers_its_model_and_its_dataset():
    plain = EXAMPLES["plain"]
    assert plain.replace(model=MODEL.replace(seed=1)).key() != plain.key()
    assert plain.replace(dataset=DATASET.replace(n=5)).key() != plain.key()


def test_key_is_the_same_whether_a_later_field_is_unknown_or_at_its_default():
    """A field added after features were stored does not change their keys; the golden keys above state the keys."""
    plain = EXAMPLES["plain"]
    assert "picture" not in plain.identity()
    assert plain.replace(picture="all").identity()["picture"] == "all"
    stored = plain.to_dict()
    del stored["picture"]  # a manifest written before the field was there
    assert ExtractSpec.from_dict(stored).key() == plain.key()


def test_key_does_not_depend_on_the_order_of_option_keys():
    one, two = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert DATASET.replace(options=one).key() == DATASET.replace(options=two).key()


def test_unknown_field_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown field of ModelSpec 'modalty'. Did you mean 'modality'"):
        ModelSpec.from_dict({"name": "a", "modalty": "vision", "source": "timm", "id": "x"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": "some"}, r"ModelSpec.weights is 'some'; expected one of 'pretrained', 'random'"),
        ({"seed": "1"}, r"ModelSpec.seed is '1' \(str\); expected int"),
        ({"seed": True}, r"ModelSpec.seed is True \(bool\); expected int"),
        ({"id": None}, r"ModelSpec.id is None \(NoneType\); expected str"),
        ({"asset": {"source": "ftp", "id": "x"}}, r"AssetSpec.source is 'ftp'"),
    ],
)
def test_wrong_value_names_the_field(change, message):
    with pytest.raises(SpecError, match=message):
        ModelSpec.from_dict({**MODEL.to_dict(), **change})


def test_missing_fields_are_named():
    with pytest.raises(SpecError, match="ModelSpec lacks id, modality, source; got only name"):
        ModelSpec.from_dict({"name": "a"})


def test_prompt_without_caption_is_refused():
    with pytest.raises(SpecError, match="must contain {caption} exactly once"):
        ExtractSpec(model=MODEL, dataset=DATASET, prompt="A picture.")


def test_name_of_a_quantised_model_says_so_once():
    spec = MODEL.replace(quantize="4bit")
    assert spec.name == "lite0-4bit"
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert spec.replace(seed=1).name == "lite0-4bit"
    assert MODEL.replace(seed=1).name == "lite0"


@pytest.mark.parametrize("n", [0, -5])
def test_a_number_of_pairs_below_1_is_refused(n):
    with pytest.raises(SpecError, match=rf"dataset\.n is {n}; expected 1 or more, or null for all"):
        DATASET.replace(n=n)
