"""Loads encoders of pictures, and of texts of open_clip models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from platorep.assets.hub import snapshot
from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.degrade import add_weight_noise
from platorep.models.files import fetched, find, timm_architecture
from platorep.models.networks import noise_pictures
from platorep.models.repositories import clip_repository, fetched_weights, timm_repository
from platorep.models.weights import check_weights, seeded


# timm -----------------------------------------------------------------------------------------------------------------


def load_timm(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a timm model.

    Raises:
        SpecError: the weights do not match the architecture, or its layers cannot be read.
        AssetError: the weights cannot be fetched.
    """
    from timm.data import create_transform, resolve_model_data_config

    from platorep.models.vision import TimmEncoder

    model = _timm_model(spec)
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    data = resolve_model_data_config(model)
    model.eval().to(device, getattr(torch, spec.dtype))
    transform = create_transform(**data, is_training=False)
    encoder = TimmEncoder(spec, model, transform, tuple(data["input_size"][1:]), device)
    encoder.check()
    return encoder


def _timm_model(spec: ModelSpec) -> nn.Module:
    if spec.weights == "random":
        return seeded(spec.seed, lambda: timm_architecture(spec))
    if spec.asset is None:
        return timm_from_file(spec, fetched_weights(timm_repository(spec), str(spec.revision)))
    model = seeded(spec.seed, lambda: timm_architecture(spec))
    state = _state_dict(find(fetched(spec.asset), "*.safetensors", "*.pth", "*.pt"), spec.name)
    model.load_state_dict(renamed(state, model.state_dict(), spec.name), strict=True)
    return model


def timm_from_file(spec: ModelSpec, file: Path) -> nn.Module:
    """A timm model with the weights of a file, after timm's conversion of older names and shapes.

    Raises:
        SpecError: the file lacks a tensor that features need (which timm ignores for some architectures), or has an
            unknown tensor, or one of another shape.
    """
    import timm
    from timm.data import resolve_model_data_config

    overlay = {"file": str(file), "custom_load": False, "hf_hub_id": None, "url": ""}
    name = spec.id.removeprefix("timm/")
    with _missing_keys() as missing:
        try:
            model = seeded(spec.seed, lambda: timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay))
        except (RuntimeError, KeyError) as error:
            raise SpecError(misfit(spec.name, file, error)) from error
    size = resolve_model_data_config(model.eval())["input_size"][1:]

    def features() -> list[torch.Tensor]:
        layers = model.forward_intermediates(noise_pictures(size, 1), intermediates_only=True)
        return [layer[0] if isinstance(layer, tuple) else layer for layer in layers]

    report = {"missing_keys": missing, "unexpected_keys": (), "mismatched_keys": ()}
    check_weights(model, report, model, features, spec.name)
    return model


@contextmanager
def _missing_keys() -> Iterator[list[str]]:
    """Collects names of missing tensors while a library loads checkpoints, and lets it continue.

    timm builds the model, converts the checkpoint and loads it in one call that does not report missing tensors, so
    `load_state_dict` is replaced meanwhile.
    """
    missing: list[str] = []
    original: Any = nn.Module.load_state_dict

    def load_state_dict(
        self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        keys = original(self, state_dict, strict=False, assign=assign)
        if strict and keys.unexpected_keys:
            raise RuntimeError(f"it holds {', '.join(keys.unexpected_keys[:5])}, which the architecture lacks")
        missing.extend(keys.missing_keys)
        return keys

    nn.Module.load_state_dict = load_state_dict  # type: ignore[method-assign]  # replaced on purpose
    try:
        yield missing
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]  # put back


def misfit(name: str, file: Path, error: Exception) -> str:
    """The message for a file whose tensors do not match, from the error of a library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = " ".join(lines[1:3] if len(lines) > 1 else lines)[:300]
    return (
        f"{name}: the weights in {file.name} do not fit the architecture ({reason}). "
        "Take the checkpoint that belongs to it."
    )


def _state_dict(file: Path, name: str) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    with _without_pickles(name, file):
        return torch.load(file, map_location="cpu", weights_only=True)


@contextmanager
def _without_pickles(name: str, file: Path) -> Iterator[None]:
    """Converts the error of torch for pickled objects other than tensors to a message."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise SpecError(
            f"{name}: {file.name} holds pickled objects besides tensors, which are not executed (it is read by "
            "weights_only). Take weights in safetensors."
        ) from error


def renamed(state: dict[str, torch.Tensor], want: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """A state dict of the same network under other module names, renamed by order.

    Args:
        state: the state dict in a file.
        want: the state dict of the architecture.
        name: name of the model in messages.

    Raises:
        SpecError: the number of tensors, a shape, or the last part of a name (weight, bias, running_mean, …) differs.
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
                f"{name}: the file's {a} {tuple(theirs.shape)} does not fit the architecture's {b} "
                f"{tuple(ours.shape)}. "
                "It is of another architecture."
            )
    return dict(zip(want, state.values(), strict=True))


# open_clip ------------------------------------------------------------------------------------------------------------


def load_clip(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of one tower of an open_clip model.

    Raises:
        SpecError: the weights do not match the architecture, or the layers of the tower cannot be read.
        AssetError: the weights cannot be fetched.
    """
    import open_clip

    from platorep.models.clip import ClipTextEncoder, picture_tower

    name, more = _clip_source(spec)
    pretrained = spec.weights == "pretrained"
    more |= {"load_weights": pretrained, "require_pretrained": pretrained, "pretrained_text": False}
    file = Path(more.get("pretrained", name))
    try:
        with _without_pickles(spec.name, file):
            model = seeded(spec.seed, lambda: open_clip.create_model(name, force_custom_text=True, **more))
    except (RuntimeError, KeyError) as error:
        raise SpecError(misfit(spec.name, file, error)) from error
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    model.eval().to(device, getattr(torch, spec.dtype))
    encoder = (
        picture_tower(spec, model, device)
        if spec.modality == "vision"
        else ClipTextEncoder(spec, model.text, open_clip.get_tokenizer(name), device)
    )
    encoder.check()
    return encoder


def _clip_source(spec: ModelSpec) -> tuple[str, dict[str, Any]]:
    """Arguments of `open_clip.create_model`: a folder, or an architecture of open_clip and a file of weights."""
    import open_clip

    if spec.asset is not None:
        folder = find(fetched(spec.asset), "open_clip_config.json").parent
        if spec.weights == "pretrained":
            find(folder, "*.safetensors", "*.bin", "*.pth")
        return f"local-dir:{folder}", {}
    architecture, _, tag = spec.id.partition("/")
    if spec.weights == "random" and not tag:
        if architecture not in open_clip.list_models():
            raise unknown_name("open_clip architecture", spec.id, open_clip.list_models())
        return architecture, {}
    at = clip_repository(spec)
    file = fetched_weights(
        at if spec.weights == "pretrained" else at._replace(weights=("open_clip_config.json",)), str(spec.revision)
    )
    if (file.parent / "open_clip_config.json").is_file():
        return f"local-dir:{file.parent}", {}
    known = open_clip.get_pretrained_cfg(architecture, tag)
    if not known:
        raise SpecError(
            f"{spec.name}: the repository of {spec.id!r} has no open_clip_config.json. "
            "Give ARCHITECTURE/TAG as open_clip lists them, or a repository in open_clip's format."
        )
    picture = {key: known[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in known}
    return architecture, {"pretrained": str(file), "force_preprocess_cfg": picture}


def clip_config(spec: ModelSpec) -> dict[str, Any]:
    """`model_cfg` of an open_clip model, from its folder, the list of open_clip, or the Hub.

    Raises:
        AssetError: the Hub cannot be reached, or the folder or repository has no such config.
    """
    import open_clip

    if spec.asset is not None:
        file = find(fetched(spec.asset), "open_clip_config.json")
    else:
        architecture = spec.id.partition("/")[0]
        if architecture in open_clip.list_models():
            return open_clip.get_model_config(architecture)
        if "/" not in spec.id:
            raise unknown_name("open_clip architecture", spec.id, open_clip.list_models())
        file = find(snapshot(spec.id, str(spec.revision), ("open_clip_config.json",)), "open_clip_config.json")
    return json.loads(file.read_text(encoding="utf-8"))["model_cfg"]
