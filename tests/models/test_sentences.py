"""What sentence-transformers repositories add to a model is said where features do not follow it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from platorep.core.errors import AssetError
from platorep.core.specs import AssetSpec
from platorep.models import load, resolve
from platorep.models.sentences import SentenceRules, sentence_rules
from tests import small_models


CPU = torch.device("cpu")
KINDS = {
    "": "sentence_transformers.models.Transformer",
    "0_Transformer": "sentence_transformers.models.Transformer",
    "1_Pooling": "sentence_transformers.models.Pooling",
    "2_Dense": "sentence_transformers.models.Dense",
    "3_Normalize": "sentence_transformers.models.Normalize",
}
DENSE = {"in_features": 32, "out_features": 16, "bias": True}


def repository(folder, modules, settings=None):
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{"idx": i, "name": str(i), "path": path, "type": KINDS[path]} for i, path in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed))
    for path, config in modules.items():
        if config is not None:
            (folder / path).mkdir(exist_ok=True)
            (folder / path / "config.json").write_text(json.dumps(config))
    if settings is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True, "include_prompt": True}, "lasttoken"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls+mean"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_pools_are_read_in_old_and_new_words(tmp_path, pooling, wanted):
    repository(tmp_path, {"": None, "1_Pooling": pooling, "3_Normalize": None})
    assert sentence_rules(tmp_path) == SentenceRules(pool=wanted)


def test_differences_are_named_with_what_to_set(tmp_path):
    spec = resolve(small_models.bert(tmp_path / "bert"), CPU)
    pooling = {"pooling_mode_cls_token": True}
    prompts = {"prompts": {"query": "query: ", "none": ""}, "default_prompt_name": "query"}
    repository(tmp_path / "bert", {"": None, "1_Pooling": pooling, "2_Dense": DENSE, "3_Normalize": None}, prompts)
    encoder = load(resolve(spec, CPU), CPU)
    assert encoder.facts["sentence_embedding"] == (
        "its own sentence embedding pools by cls, features by mean (models.bert.pool=cls); goes through Dense 32 to "
        "16, which no feature does; puts 'query: ' before a text (prompt='query: {caption}')."
    )
    assert "pools by" not in load(resolve(spec.replace(pool="cls"), CPU), CPU).facts["sentence_embedding"]


def test_repository_whose_embedding_features_are_is_not_talked_about(tmp_path):
    spec = small_models.bert(tmp_path / "bert")
    repository(tmp_path / "bert", {"": None, "1_Pooling": {"pooling_mode_mean_tokens": True}, "3_Normalize": None})
    assert "sentence_embedding" not in load(resolve(spec, CPU), CPU).facts
    (tmp_path / "bert" / "modules.json").unlink()
    assert "sentence_embedding" not in load(resolve(spec, CPU), CPU).facts


def test_transformer_in_a_folder_of_its_own_is_found(tmp_path):
    spec = small_models.bert(tmp_path / "old" / "0_Transformer")
    repository(tmp_path / "old", {"0_Transformer": None, "1_Pooling": {"pooling_mode_cls_token": True}})
    spec = spec.replace(name="old", asset=AssetSpec(source="path", id=str(tmp_path / "old")))
    assert "pools by cls" in load(resolve(spec, CPU), CPU).facts["sentence_embedding"]


def test_damaged_module_list_is_named(tmp_path):
    repository(tmp_path, {"": None, "1_Pooling": None})
    with pytest.raises(AssetError, match="1_Pooling/config.json cannot be read"):
        sentence_rules(tmp_path)
    shutil.rmtree(tmp_path / "1_Pooling", ignore_errors=True)
    (tmp_path / "modules.json").write_text("[{")
    with pytest.raises(AssetError, match="modules.json cannot be read"):
        sentence_rules(tmp_path)
