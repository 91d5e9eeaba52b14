"""From a resolved spec to an encoder with its weights, on its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from platorep.assets.hub import snapshot
from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.degrade import add_weight_noise
from platorep.models.resolving import CLIP_FILES, TIMM_FILES, fetched, find, hub_id, timm_architecture
from platorep.models.weights import seeded


def load(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a resolved spec, on its device, in evaluation mode.

    Raises:
        SpecError: the weights do not fit the architecture, or the architecture is of no known kind.
        AssetError: the weights cannot be had.
    """
    return _LOADERS[spec.source](spec, device)


def _load_language(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.pretrained import load_language

    return load_language(spec, device)


# pictures ---------------------------------------------------------------------------------------------------------------


def _load_timm(spec: ModelSpec, device: torch.device) -> Encoder:
    from timm.data import create_transform, resolve_model_data_config

    from platorep.models.vision import TimmEncoder

    model = seeded(spec.seed, lambda: timm_architecture(spec))
    if spec.weights == "pretrained":
        _load_timm_weights(spec, model)
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    data = resolve_model_data_config(model)
    model.eval().to(device, getattr(torch, spec.dtype))
    return TimmEncoder(spec, model, create_transform(**data, is_training=False), tuple(data["input_size"][1:]), device)


def _load_timm_weights(spec: ModelSpec, model: Any) -> None:
    from timm.models import load_checkpoint

    if spec.asset is None:
        # timm's own checkpoint filter: what the Hub holds may come from another version of the architecture.
        load_checkpoint(model, snapshot(hub_id(spec), str(spec.revision), TIMM_FILES) / "model.safetensors")
        return
    file = find(fetched(spec.asset), "*.safetensors", "*.pth", "*.pt")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(renamed(state, model.state_dict(), spec.name), strict=True)


def renamed(state: dict[str, torch.Tensor], want: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """A state dict of the same network under other module names, renamed by order.

    Args:
        state: what a file holds.
        want: the state dict of the architecture that it goes into.
        name: the model, for the message.

    Raises:
        SpecError: number of tensors, a shape, or the last part of a name (weight, bias, running_mean, …) differs.
    """
    if state.keys() == want.keys():
        state = {key: state[key] for key in want}
    if len(state) != len(want):
        raise SpecError(
            f"{name}: the file holds {len(state)} tensors, the architecture {len(want)}. It is of another architecture."
        )
    for (a, theirs), (b, ours) in zip(state.items(), want.items(), strict=True):
        if theirs.shape != ours.shape or a.rsplit(".", 1)[-1] != b.rsplit(".", 1)[-1]:
            raise SpecError(
                f"{name}: the file's {a} {tuple(theirs.shape)} does not fit the architecture's {b} {tuple(ours.shape)}. "
                "It is of another architecture."
            )
    return dict(zip(want, state.values(), strict=True))


def _load_clip(spec: ModelSpec, device: torch.device) -> Encoder:
    import open_clip

    from platorep.models.clip import ClipTextEncoder, picture_tower

    if spec.asset is not None:
        name = f"local-dir:{find(fetched(spec.asset), 'open_clip_config.json').parent}"
    elif spec.weights == "random" and "/" not in spec.id:
        if spec.id not in open_clip.list_models():
            raise unknown_name("open_clip architecture", spec.id, open_clip.list_models())
        name = spec.id
    else:
        name = f"local-dir:{snapshot(hub_id(spec), str(spec.revision), CLIP_FILES)}"
    pretrained = spec.weights == "pretrained"
    model = seeded(
        spec.seed,
        lambda: open_clip.create_model(
            name, load_weights=pretrained, require_pretrained=pretrained, force_custom_text=True, pretrained_text=False
        ),
    )
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    model.eval().to(device, getattr(torch, spec.dtype))
    if spec.modality == "vision":
        return picture_tower(spec, model, device)
    return ClipTextEncoder(spec, model.text, open_clip.get_tokenizer(name), device)


# words and pixels -------------------------------------------------------------------------------------------------------


def _load_static(spec: ModelSpec, device: torch.device) -> Encoder:
    import numpy as np
    import pandas as pd

    from platorep.models.lexical import StaticEncoder

    if spec.asset is None:
        raise SpecError(
            f"{spec.name}: static word vectors need an asset with one .npy (words x width) and one .parquet (words in order)."
        )
    path = fetched(spec.asset)
    vectors = np.load(find(path, "*.npy"), mmap_mode="r", allow_pickle=False)
    words = pd.read_parquet(find(path, "*.parquet")).iloc[:, 0]
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise SpecError(
            f"{spec.name}: {len(words)} words do not fit vectors of shape {vectors.shape}; expected one row a word."
        )
    return StaticEncoder(spec, vectors, {str(word): row for row, word in enumerate(words)}, device)


def _load_tfidf(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.lexical import TfidfEncoder

    return TfidfEncoder(spec, device)


def _load_pixels(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.vision import PixelEncoder

    return PixelEncoder(spec, device)


_LOADERS: dict[str, Callable[[ModelSpec, torch.device], Encoder]] = {
    "transformers": _load_language,
    "timm": _load_timm,
    "open_clip": _load_clip,
    "static": _load_static,
    "tfidf": _load_tfidf,
    "pixels": _load_pixels,
}
