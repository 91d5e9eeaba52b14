"""open_clip's towers that are not like CLIP's own: padding, a token behind the text, no class token."""

from __future__ import annotations

import pytest
import torch

from platorep.core.errors import SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import Text, TextRules, load, resolve
from platorep.models.clip import ClipTextEncoder
from tests.architectures import clip_models


CPU = torch.device("cpu")


def spec_of(name: str, path, modality: str, **more) -> ModelSpec:
    asset = AssetSpec(source="path", id=str(clip_models.folder(name, path)))
    return ModelSpec(
        name="clip", modality=modality, source="open_clip", id="clip", asset=asset, weights="random", **more
    )


def test_tower_with_a_token_behind_the_text_pools_the_texts_own(tmp_path):
    """CoCa: 25 states for 24 tokens."""
    name = "transformer with a class token behind the text (CoCa)"
    encoder = load(resolve(spec_of(name, tmp_path, "language"), CPU), CPU)
    tokens = encoder.tokenize([Text.of("a tiger!")], TextRules())
    hidden = []
    handle = encoder.blocks[-1].register_forward_hook(lambda _module, _args, output: hidden.append(output))
    (features,) = encoder.encode(tokens).features[-1]
    handle.remove()
    length = sum(tokens[0].pooled)
    assert hidden[0].shape[1] == len(tokens[0]) + 1
    torch.testing.assert_close(features, hidden[0][0, :length].mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("ViT (CLIP)", "cls"),
        ("ResNet (CLIP RN50)", "mean"),
        ("timm ViT without class token (SigLIP)", "mean"),
        ("timm ConvNeXt", "mean"),
    ],
)
def test_pool_auto_is_settled_by_the_tower(name, pool, tmp_path):
    spec = spec_of(name, tmp_path, "vision")
    assert resolve(spec, CPU).pool == pool
    if pool == "mean":
        with pytest.raises(SpecError, match="pool=cls does not exist for this vision model"):
            load(resolve(spec.replace(pool="cls"), CPU), CPU)


class PaddedWithOnes:
    """A tokenizer that pads with 1 and ends texts with 1, as SigLIP's does."""

    context_length = 8

    def __call__(self, texts, context_length=None):
        length = context_length or self.context_length
        rows = [[2 + len(word) for word in text.split()] for text in texts]
        return torch.tensor([(row[: length - 1] + [1] * length)[:length] for row in rows])


def test_padding_is_told_by_the_tokenizer_and_not_by_the_tower(tmp_path):
    import open_clip

    settings = {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 2}
    torch.manual_seed(0)
    tower = open_clip.transformer.TextTransformer(**settings, no_causal_mask=True, pool_type="last").eval()
    assert tower.pad_id == 0
    spec = ModelSpec(name="clip", modality="language", source="open_clip", id="clip", pool="mean")
    encoder = ClipTextEncoder(spec, tower, PaddedWithOnes(), CPU)
    short, full, over, empty = encoder.tokenize(
        [Text.of(text) for text in ("a bb ccc", "a b c d e f g", "a b c d e f g h", "")], TextRules()
    )
    assert sum(short.pooled) == 3
    assert sum(full.pooled) == 7
    assert [tokens.truncated for tokens in (short, full, over, empty)] == [False, False, True, False]
    assert sum(empty.pooled) == 1
    encoder.check()


def test_text_tower_whose_blocks_are_not_its_states_is_refused(tmp_path):
    encoder = load(resolve(spec_of("transformer (CLIP)", tmp_path, "language"), CPU), CPU)
    encoder.check()
    encoder.blocks = torch.nn.ModuleList(block.mlp for block in encoder.blocks)
    with pytest.raises(SpecError, match=r"the output of block\.0 is not the state that open_clip's TextTransformer"):
        encoder.check()
