"""Models of timm: their weights, and their encoders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from platorep.assets import derived
from platorep.core.digest import digest
from platorep.core.errors import DiskError, SpecError, unknown_name
from platorep.core.files import read_json, slug, write_json
from platorep.core.specs import ModelSpec
from platorep.models.degrade import add_weight_noise
from platorep.models.failures import misfit, without_pickles
from platorep.models.files import fetched, find
from platorep.models.networks import noise_pictures
from platorep.models.repositories import TIMM_WEIGHTS, Repository, alternatives
from platorep.models.source import Source
from platorep.models.vision import TimmEncoder, token_layout
from platorep.models.weights import check_weights, seeded


LAYOUT = "layout.json"


class Timm(Source):
    """Vision models of timm; an id without a tag means timm's default weights."""

    modalities = ("vision",)
    weight_bytes = 4

    def load(self, spec: ModelSpec, device: torch.device) -> TimmEncoder:
        from timm.data import create_transform, resolve_model_data_config

        model = _model(spec)
        if spec.weight_noise:
            add_weight_noise(model, spec.weight_noise, spec.seed)
        data = resolve_model_data_config(model)
        model.eval().to(device, getattr(torch, spec.dtype))
        transform = create_transform(**data, is_training=False)
        encoder = TimmEncoder(spec, model, transform, tuple(data["input_size"][1:]), device)
        encoder.check()
        return encoder

    def version(self, spec: ModelSpec) -> str | None:
        if spec.weights == "pretrained" or spec.asset is not None:
            return None
        return f"timm-{version('timm')}"

    def repository(self, spec: ModelSpec) -> Repository:
        config = timm_config(spec)
        if not config.hf_hub_id:
            source = f"timm names only {config.url}" if config.url else "timm names no place for them"
            raise SpecError(
                f"{spec.name}: the weights {spec.id!r} are in no Hub repository; {source}. Fetch them yourself and "
                "give the file as asset: {source: path, id: FILE}, or take weights: random."
            )
        return Repository(config.hf_hub_id, alternatives(config.hf_hub_filename, TIMM_WEIGHTS))

    def has_class_token(self, spec: ModelSpec) -> bool:
        """Whether it has one, from the cache where it was asked before.

        Every run asks for every model, and one over stored features needs timm for nothing else. Importing timm takes
        seconds, most of them for parts of torch that are not used either.
        """
        versions = "-".join(f"{name}-{version(name)}" for name in ("timm", "torch"))
        try:
            folder = derived(f"layouts/{versions}/{slug(spec.id)}-{digest(spec.id)}", partial(_write_layout, spec))
        except DiskError:  # a cache that cannot be written costs time, not the run
            return _has_class_token(spec)
        return bool(read_json(folder / LAYOUT)["has_class_token"])

    def parameters(self, spec: ModelSpec) -> int | None:
        import timm

        name = spec.id.removeprefix("timm/").split(".")[0]
        if name not in timm.list_models():
            return None
        with torch.device("meta"):
            return sum(p.numel() for p in timm.create_model(name, pretrained=False).parameters())

    def tokens(self, spec: ModelSpec) -> int | None:
        import timm

        named = re.search(r"patch(\d+)", spec.id)
        if named is None:
            return None
        try:
            config = timm.get_pretrained_cfg(spec.id.removeprefix("timm/"))
        except RuntimeError:
            return None
        return None if config is None else (config.input_size[1] // int(named[1])) ** 2


def _write_layout(spec: ModelSpec, folder: Path) -> None:
    write_json(folder / LAYOUT, {"has_class_token": _has_class_token(spec)})


def _has_class_token(spec: ModelSpec) -> bool:
    from timm.data import resolve_model_data_config

    with torch.device("meta"):  # shapes suffice
        model = architecture(spec).eval()
    return token_layout(model, tuple(resolve_model_data_config(model)["input_size"][1:])).has_class_token


def timm_config(spec: ModelSpec) -> Any:
    """The entry of timm for the weights of an id.

    Raises:
        SpecError: timm does not know the weights.
    """
    import timm

    name = spec.id.removeprefix("timm/")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None:
        tags = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*"))
        raise SpecError(f"{spec.name}: timm does not know the weights {name!r}. Known: {tags or 'none'}.")
    return config


def architecture(spec: ModelSpec) -> Any:
    """A timm model with its initial weights.

    Raises:
        UnknownNameError: timm has no such architecture.
        SpecError: the architecture exists, but not with these pretrained weights.
    """
    import timm

    name = spec.id.removeprefix("timm/")
    if name.split(".")[0] not in timm.list_models():
        raise unknown_name("timm architecture", name.split(".")[0], timm.list_models())
    try:
        return timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise SpecError(
            f"{spec.name}: timm does not know {name!r} ({error}). "
            f"Known tags: {', '.join(timm.list_pretrained(name.split('.')[0] + '*'))}."
        ) from error


def _model(spec: ModelSpec) -> nn.Module:
    if spec.weights == "random":
        return seeded(spec.seed, lambda: architecture(spec))
    if spec.asset is None:
        return timm_from_file(spec, Timm().weights(spec)[0])
    model = seeded(spec.seed, lambda: architecture(spec))
    state = _state_dict(find(fetched(spec.asset), "*.safetensors", "*.pth", "*.pt"), spec.name)
    model.load_state_dict(renamed(_with_head(state, model), model.state_dict(), spec.name), strict=True)
    return model


def _with_head(state: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    """The state dict with the model's own classifier where only the classifier differs; features do not depend on it.

    Checkpoints of fine-tuned models have another number of classes, or no classifier.
    """
    names = model.default_cfg.get("classifier", ())
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    body = {key: tensor for key, tensor in state.items() if not key.startswith(heads)}
    want = model.state_dict()
    if not heads or body.keys() != {key for key in want if not key.startswith(heads)}:
        return state
    return want | body


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


def _state_dict(file: Path, name: str) -> dict[str, torch.Tensor]:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    with without_pickles(name, file):
        return torch.load(file, map_location="cpu", weights_only=True)


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
