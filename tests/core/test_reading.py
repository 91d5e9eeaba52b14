"""Which settings of reading a sample are part of a model's features."""

import pytest

from platorep.core.reading import settings_read
from platorep.core.specs import DatasetSpec, ExtractSpec, GenerateSpec, ModelSpec


WORDS = GenerateSpec(tokens=8, temperature=0.0, seed=0)


def key(modality, **settings):
    model = ModelSpec(name="m", modality=modality, source="pixels", id="16")
    dataset = DatasetSpec(name="d", source="synthetic")
    return ExtractSpec(model=model, dataset=dataset, **settings_read(modality, settings)).key()


@pytest.mark.parametrize(
    ("setting", "readers"),
    [
        ({"caption": "1"}, {"language"}),
        ({"prompt": "a photo of {caption}"}, {"language"}),
        ({"span": "caption"}, {"language"}),
        ({"span": "generated", "generated": WORDS}, {"language"}),
        ({"generated": WORDS}, set()),  # read where span is generated
        ({"max_tokens": 7}, {"language"}),
        ({"overlong": "error"}, {"language"}),
        ({"caption": "all", "combine": "concatenate_text"}, {"language"}),
        ({"picture": "1"}, {"vision"}),
        ({"picture": "all"}, {"vision"}),
        ({"combine": "concatenate_text"}, set()),  # every sample has one caption and one picture
        ({"caption": "all", "combine": "multiply_items"}, {"language", "vision"}),  # a row of each caption
        ({"picture": "all", "combine": "multiply_items"}, {"language", "vision"}),
        ({"layers": "last"}, {"language", "vision"}),
        ({"storage_dtype": "float16"}, {"language", "vision"}),
    ],
)
def test_a_setting_is_part_of_the_key_of_the_models_that_read_it(setting, readers):
    assert {m for m in ("language", "vision") if key(m, **setting) != key(m)} == readers


def test_how_captions_are_combined_is_no_part_of_features_of_single_pictures():
    assert key("vision", caption="all", combine="mean_features") == key("vision")
    assert key("language", caption="all", combine="mean_features") != key("language")
