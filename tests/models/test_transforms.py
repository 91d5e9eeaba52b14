"""From pictures to inputs: thin pictures cost no more than others, and the model's own preparation is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from platorep.core.errors import DataError
from platorep.core.specs import ModelSpec
from platorep.models import load, resolve
from platorep.models.transforms import THIN, PictureTransform, picture_transform, small_pixels, without_ends
from tests import small_models
from tests.architectures import transformers_models


CPU = torch.device("cpu")

SHORTEST = {
    "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 40},
    "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "do_rescale": True, "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "resample": 3,
}  # fmt: skip


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def of_timm(**changes):
    """timm's evaluation transform: the shorter side to 40 pixels, then the middle."""
    from timm.data import create_transform

    return create_transform(input_size=(3, 32, 32), crop_pct=0.8, is_training=False, **changes)


def of_open_clip(mode="shortest"):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    return image_transform_v2(PreprocessCfg(size=32, resize_mode=mode), is_train=False)


def of_transformers(folder, **changes):
    spec = transformers_models.save("clip", folder, SHORTEST | changes)
    return load(resolve(spec, CPU), CPU).transform.to_input


@pytest.mark.parametrize("width", [4000, 4001])
@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("library", ["timm", "open_clip", "transformers"])
def test_thin_picture_gives_what_the_whole_of_it_gives(library, upright, width, tmp_path):
    """The model sees the middle: what is cut off before scaling would be cut off after it."""
    make = {"timm": of_timm, "open_clip": of_open_clip, "transformers": lambda: of_transformers(tmp_path)}[library]
    to_input = make()
    picture = noise(width, 50)
    picture = picture.transpose(Image.Transpose.ROTATE_90) if upright else picture
    transform = picture_transform(to_input, None)
    assert transform.cut_ends
    torch.testing.assert_close(transform(picture), to_input(picture), rtol=0, atol=0.15)
    assert (transform(picture) - to_input(picture)).abs().mean() < 0.01
    assert (transform(picture) - to_input(noise(50, 50))).abs().mean() > 0.3  # another picture is told from it


@pytest.mark.parametrize("shape", [(20_000, 1), (1, 20_000), (20_000, 3)])
def test_what_a_thin_picture_is_scaled_to_is_bounded(monkeypatch, shape):
    """20,000 x 1 pixels would become 5,120,000 x 256."""
    areas = []
    resize = Image.Image.resize

    def counted(self, size, *args, **more):
        areas.append(size[0] * size[1])
        return resize(self, size, *args, **more)

    encoder = load(resolve(small_models.picture("test_convnext"), CPU), CPU)
    monkeypatch.setattr(Image.Image, "resize", counted)
    assert encoder.transform(Image.new("RGB", shape)).shape == (3, 160, 160)
    assert areas
    assert max(areas) <= (THIN + 1) * 256 * 256


def test_transform_of_transformers_gets_no_thin_picture(tmp_path):
    seen = []
    to_input = of_transformers(tmp_path)

    def spy(picture):
        seen.append(picture.size)
        return to_input(picture)

    transform = picture_transform(spy, None)
    seen.clear()
    assert transform(Image.new("RGB", (20_000, 1))).shape == (3, 32, 32)
    assert seen == [(THIN, 1)]


@pytest.mark.parametrize("mode", ["squash", "longest"])
def test_transform_that_sees_the_whole_picture_keeps_its_ends(mode):
    to_input = of_open_clip(mode)
    transform = picture_transform(to_input, None)
    assert not transform.cut_ends
    assert torch.equal(transform(noise(600, 20)), to_input(noise(600, 20)))


def test_picture_that_a_transform_cannot_take_is_named_by_its_size():
    """Fitted into 32 x 32 pixels, the shorter side would have none."""
    transform = picture_transform(of_open_clip("longest"), None)
    with pytest.raises(DataError, match="a picture of 2000 x 20 pixels cannot be brought to the model's input"):
        transform(noise(2000, 20))


def test_pixels_are_of_the_whole_picture():
    encoder = load(resolve(ModelSpec(name="p", modality="vision", source="pixels", id="pixels-16x16"), CPU), CPU)
    assert torch.equal(encoder.transform(noise(2000, 20)), small_pixels(noise(2000, 20)))


@pytest.mark.parametrize("size", [(64, 48), (THIN * 10, 10), (10, THIN * 10), (1, 1)])
def test_other_pictures_are_left_alone(size):
    picture = noise(*size)
    assert without_ends(picture) is picture


@pytest.mark.parametrize(("width", "kept"), [(1000, 160), (1001, 161)])
def test_the_middle_stays_in_the_middle(width, kept):
    pixels = np.zeros((10, width, 3), dtype=np.uint8)
    pixels[:, :, 0] = np.abs(np.arange(width) - (width - 1) / 2)[None] / 4
    middle = np.asarray(without_ends(Image.fromarray(pixels)))
    assert middle.shape == (10, kept, 3)
    assert np.array_equal(middle, middle[:, ::-1])


def test_picture_is_reduced_after_its_ends_are_cut():
    transform = PictureTransform(lambda picture: picture, 4, cut_ends=True)
    assert transform(noise(2000, 20)).size == (4 * THIN, 4)


def test_the_repositorys_image_processor_prepares_the_pictures(tmp_path):
    """Against the same steps by hand: shorter side to 40 pixels (bicubic), the middle, rescaled, normalised."""
    from torchvision.transforms.v2.functional import pil_to_tensor, resize

    to_input = of_transformers(tmp_path)
    picture = noise(90, 60)
    scaled = resize(pil_to_tensor(picture), [40, 60], interpolation=3, antialias=True)[:, 4:36, 14:46].float() / 255
    want = (scaled - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    torch.testing.assert_close(to_input(picture), want, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    "changes",
    [
        {"image_mean": [0.1, 0.1, 0.1]},
        {"image_std": [0.9, 0.9, 0.9]},
        {"do_rescale": False},
        {"resample": 0},
        {"size": {"shortest_edge": 60}},
        {"do_center_crop": False, "size": {"height": 32, "width": 32}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_setting_of_the_image_processor_counts(tmp_path, changes):
    plain, changed = of_transformers(tmp_path / "a"), of_transformers(tmp_path / "b", **changes)
    assert plain(noise(90, 60)).shape == changed(noise(90, 60)).shape
    assert (plain(noise(90, 60)) - changed(noise(90, 60))).abs().max() > 0.05


def test_small_pixels_are_those_of_torchvision():
    from PIL.Image import Resampling
    from torchvision.transforms.functional import to_tensor

    reduced = noise(90, 70).resize((16, 16), Resampling.BICUBIC)
    assert torch.equal(small_pixels(noise(90, 70)), to_tensor(reduced))
