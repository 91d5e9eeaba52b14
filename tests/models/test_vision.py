"""Picture encoders against the models' own outputs."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.data.synthetic import draw
from platorep.models import Text, TextRules, load, resolve
from tests import small_models


CPU = torch.device("cpu")
PICTURES = [
    draw("large", "red", "circle", "middle", "0"),
    draw("small", "blue", "square", "upper left", "1"),
    Image.new("RGB", (90, 40), "white"),
]


def encoder_of(spec):
    return load(resolve(spec, CPU), CPU)


def encoded(encoder):
    return encoder.encode(torch.stack([encoder.transform(picture) for picture in PICTURES])).features


@pytest.mark.parametrize(
    ("name", "token"), [("test_vit", "class"), ("test_efficientnet", None), ("test_convnext", None)]
)
def test_features_are_those_of_timms_forward_intermediates(name, token):
    encoder = encoder_of(small_models.picture(name))
    batch = torch.stack([encoder.transform(picture) for picture in PICTURES])
    with torch.no_grad():
        if token:
            pairs = encoder.model.forward_intermediates(batch, return_prefix_tokens=True, intermediates_only=True)
            want = [prefix[:, 0] for _, prefix in pairs]
        else:
            want = [maps.mean((2, 3)) for maps in encoder.model.forward_intermediates(batch, intermediates_only=True)]
    got = encoder.encode(batch).features
    assert len(got) == len(want) == len(encoder.layers)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_mean_pool_of_a_transformer_leaves_the_class_token_out():
    encoder = encoder_of(small_models.picture("test_vit", pool="mean"))
    batch = torch.stack([encoder.transform(picture) for picture in PICTURES])
    with torch.no_grad():
        maps = encoder.model.forward_intermediates(batch, intermediates_only=True)
    torch.testing.assert_close(encoder.encode(batch).features[-1], maps[-1].mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_widths_differ_from_stage_to_stage():
    widths = [feature.shape[1] for feature in encoded(encoder_of(small_models.picture("test_efficientnet")))]
    assert len(set(widths)) > 1


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet"])
def test_selected_layers_are_those_of_all(name):
    encoder = encoder_of(small_models.picture(name))
    everything = encoded(encoder)
    encoder.select("0,-1")
    some = encoded(encoder)
    assert encoder.layers == (encoder.all_layers[0], encoder.all_layers[-1])
    assert torch.equal(some[0], everything[0])
    assert torch.equal(some[1], everything[-1])


def test_pool_resolves_to_the_class_token_where_there_is_one():
    assert resolve(small_models.picture("test_vit"), CPU).pool == "cls"
    assert resolve(small_models.picture("test_convnext"), CPU).pool == "mean"
    with pytest.raises(SpecError, match=r"pool=cls does not exist.*mean or max \(it has no class token\)"):
        encoder_of(small_models.picture("test_convnext", pool="cls"))
    with pytest.raises(SpecError, match="pool=last does not exist.*cls, mean or max"):
        encoder_of(small_models.picture("test_vit", pool="last"))


def test_same_seed_same_random_weights_and_global_generator_untouched():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (encoded(encoder_of(small_models.picture("test_vit", seed=seed)))[-1] for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_weights_of_a_file_are_loaded_under_timms_names_and_under_others(tmp_path):
    import timm

    torch.manual_seed(5)
    state = timm.create_model("test_efficientnet").state_dict()
    save_file(state, tmp_path / "own.safetensors")
    torch.save({name.replace("blocks.", "stages.x."): value for name, value in state.items()}, tmp_path / "other.pth")
    made = []
    for file in ("own.safetensors", "other.pth"):
        asset = AssetSpec(source="path", id=str(tmp_path / file))
        made.append(
            encoded(
                encoder_of(ModelSpec(name="m", modality="vision", source="timm", id="test_efficientnet", asset=asset))
            )
        )
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))
    assert not torch.allclose(made[0][-1], encoded(encoder_of(small_models.picture("test_efficientnet")))[-1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: dict(list(s.items())[1:]), r"holds \d+ tensors, the architecture \d+"),
        (lambda s: {k: v[:1].clone() if v.ndim == 4 else v for k, v in s.items()}, "does not fit the architecture's"),
        (lambda s: {f"x.{k}".replace("weight", "scale"): v for k, v in s.items()}, "does not fit the architecture's"),
    ],
    ids=["number", "shape", "leaf-name"],
)
def test_weights_of_another_architecture_are_refused(tmp_path, spoil, message):
    import timm

    state = spoil(timm.create_model("test_efficientnet").state_dict())
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "m.safetensors")
    spec = ModelSpec(
        name="m",
        modality="vision",
        source="timm",
        id="test_efficientnet",
        asset=AssetSpec(source="path", id=str(tmp_path / "m.safetensors")),
    )
    with pytest.raises(SpecError, match=message):
        encoder_of(spec)


def test_pickle_in_a_weights_file_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"weight": Evil()}, tmp_path / "m.pth")
    spec = ModelSpec(
        name="m",
        modality="vision",
        source="timm",
        id="test_vit",
        asset=AssetSpec(source="path", id=str(tmp_path / "m.pth")),
    )
    with pytest.raises(Exception, match="weights_only|Weights only"):
        encoder_of(spec)
    assert not (tmp_path / "harm").exists()


def test_unknown_architecture_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'vit_tiny_patch16_224'"):
        resolve(small_models.picture("vit_tinny_patch16_224"), CPU)


def test_pixels_are_the_reduced_picture():
    encoder = encoder_of(ModelSpec(name="p", modality="vision", source="pixels", id="pixels-16x16"))
    (features,) = encoded(encoder)
    assert features.shape == (3, 768)
    assert torch.equal(features[2], torch.ones(768))  # a white picture
    assert 0 <= features.min() < features.max() <= 1


def test_input_size_takes_detail_away_and_leaves_the_input_as_large():
    full, small = (encoder_of(small_models.picture("test_vit", input_size=size)) for size in (None, 8))
    sharp, blurred = full.transform(PICTURES[0]), small.transform(PICTURES[0])
    assert sharp.shape == blurred.shape

    def detail(x):
        return (x[:, 1:] - x[:, :-1]).abs().sum()

    assert detail(blurred) < 0.7 * detail(sharp)


@pytest.mark.parametrize("modality", ["vision", "language"])
def test_towers_of_open_clip_give_their_blocks(tmp_path, modality):
    import open_clip

    spec = small_models.clip(tmp_path / "clip", modality)
    encoder = encoder_of(spec)
    model = open_clip.create_model(f"local-dir:{tmp_path / 'clip'}").eval()
    if modality == "vision":
        batch = torch.stack([encoder.transform(picture) for picture in PICTURES])
        got = encoder.encode(batch).features
        with torch.no_grad():
            out = model.visual.forward_intermediates(
                batch, intermediates_only=True, output_fmt="NLC", output_extra_tokens=True
            )
        want = [prefix[:, 0] for prefix in out["image_intermediates_prefix"]]
    else:
        texts = ["a tiger!", "an adjustable wrench of steel"]
        got = encoder.encode(encoder.tokenize([Text.of(text) for text in texts], TextRules())).features
        ids = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'clip'}")(texts)
        with torch.no_grad():
            states = model.text.forward_intermediates(ids, intermediates_only=True, output_fmt="NLC")[
                "text_intermediates"
            ]
        ends = ids.argmax(1)
        want = [torch.stack([state[i, : ends[i] + 1].mean(0) for i in range(2)]) for state in states]
    assert len(got) == len(want) == len(encoder.layers)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_overlong_text_of_open_clip_is_marked(tmp_path):
    encoder = encoder_of(small_models.clip(tmp_path / "clip", "language"))
    made = encoder.tokenize([Text.of("tiger " * 22), Text.of("tiger " * 23)], TextRules())
    assert [one.truncated for one in made] == [False, True]
    with pytest.raises(Exception, match="more than 24 tokens"):
        encoder.tokenize([Text.of("tiger " * 23)], TextRules(overlong="error"))


@pytest.mark.parametrize("classes", [0, 7])
def test_a_checkpoint_with_another_classifier_gives_the_features_of_its_own_model(tmp_path, classes):
    import timm

    torch.manual_seed(3)
    tuned = timm.create_model("test_efficientnet", num_classes=classes)
    save_file(tuned.state_dict(), tmp_path / "tuned.safetensors")
    asset = AssetSpec(source="path", id=str(tmp_path / "tuned.safetensors"))
    spec = ModelSpec(name="m", modality="vision", source="timm", id="test_efficientnet", asset=asset)
    loaded = encoder_of(spec).model.state_dict()
    body = {key: tensor for key, tensor in tuned.state_dict().items() if not key.startswith("classifier.")}
    assert len(body) > 20
    assert all(torch.equal(loaded[key], tensor) for key, tensor in body.items())
    whole = tuned.state_dict()
    save_file({key: whole[key] for key in list(whole)[1:]}, tmp_path / "tuned.safetensors")
    with pytest.raises(SpecError, match="It is of another architecture"):
        encoder_of(spec)
