"""Models of open_clip: their weights, and the encoders of their towers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from platorep.assets.hub import snapshot
from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.clip import ClipTextEncoder, picture_tower, tower_has_class_token
from platorep.models.degrade import add_weight_noise
from platorep.models.failures import misfit, without_pickles
from platorep.models.files import fetched, find
from platorep.models.joint import JOINT, JointPictureEncoder, JointTextEncoder
from platorep.models.repositories import CLIP_WEIGHTS, Repository, alternatives, fetched_weights
from platorep.models.source import Source
from platorep.models.weights import seeded


OTHERS = ("*.json", "*.txt", "*.model")


class OpenClip(Source):
    """One tower of a model: ARCHITECTURE/TAG as open_clip lists them, a repository in its format, or a local folder.

    pool="joint" takes the tower into the joint space of both.
    """

    modalities = ("language", "vision")
    takes_folder = True
    has_joint_space = True

    def load(self, spec: ModelSpec, device: torch.device) -> Encoder:
        import open_clip

        name, more = _arguments(spec)
        pretrained = spec.weights == "pretrained"
        more |= {"load_weights": pretrained, "require_pretrained": pretrained, "pretrained_text": False}
        file = Path(more.get("pretrained", name))
        try:
            with without_pickles(spec.name, file):
                model = seeded(spec.seed, lambda: open_clip.create_model(name, force_custom_text=True, **more))
        except (RuntimeError, KeyError) as error:
            raise SpecError(misfit(spec.name, file, error)) from error
        if spec.weight_noise:
            add_weight_noise(model, spec.weight_noise, spec.seed)
        model.eval().to(device, getattr(torch, spec.dtype))
        encoder = _encoder(spec, model, name, device)
        encoder.check()
        return encoder

    def version(self, spec: ModelSpec) -> str | None:
        if spec.weights == "pretrained" or spec.asset is not None or "/" in spec.id:
            return None
        import open_clip

        return f"open_clip-{open_clip.__version__}"

    def repository(self, spec: ModelSpec) -> Repository:
        import open_clip

        architecture, _, tag = spec.id.partition("/")
        if architecture not in open_clip.list_models():
            return Repository(spec.id, CLIP_WEIGHTS, OTHERS)
        config = open_clip.get_pretrained_cfg(architecture, tag)
        if not config:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
            raise SpecError(
                f"{spec.name}: open_clip has no weights {tag or '(no tag given)'} of {architecture}. "
                f"Expected {architecture}/TAG, where TAG is one of: {tags or 'none'}."
            )
        if not config.get("hf_hub"):
            raise SpecError(
                f"{spec.name}: the weights {spec.id!r} are in no Hub repository; "
                f"open_clip names only {config.get('url')}. Take another tag."
            )
        owner, name, *file = config["hf_hub"].strip("/").split("/")
        return Repository(f"{owner}/{name}", alternatives("/".join(file), CLIP_WEIGHTS), OTHERS)

    def has_class_token(self, spec: ModelSpec) -> bool:
        return tower_has_class_token(_config(spec))


def _encoder(spec: ModelSpec, model: Any, name: str, device: torch.device) -> Any:
    """The encoder of one side of a model: its layers, or its joint space."""
    import open_clip

    if spec.modality == "vision":
        return JointPictureEncoder(spec, model, device) if spec.pool == JOINT else picture_tower(spec, model, device)
    tokenizer = open_clip.get_tokenizer(name)
    if spec.pool == JOINT:
        return JointTextEncoder(spec, model, tokenizer, device)
    return ClipTextEncoder(spec, model.text, tokenizer, device)


def _arguments(spec: ModelSpec) -> tuple[str, dict[str, Any]]:
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
    at = OpenClip().repository(spec)
    file = fetched_weights(
        at if spec.weights == "pretrained" else at._replace(weights=(("open_clip_config.json",),)), str(spec.revision)
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


def _config(spec: ModelSpec) -> dict[str, Any]:
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
