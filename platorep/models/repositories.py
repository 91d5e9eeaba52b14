"""Hub repositories of the weights of timm and open_clip models, by the registries of these libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from platorep.assets.hub import snapshot
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import ModelSpec


class Repository(NamedTuple):
    """A Hub repository and the files to fetch.

    Attributes:
        id: owner/name.
        weights: names of weight files in order of preference.
        others: names or patterns of other required files.
    """

    id: str
    weights: tuple[str, ...]
    others: tuple[str, ...] = ()


TIMM_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
CLIP_OTHERS = ("*.json", "*.txt", "*.model")


def repository(spec: ModelSpec) -> Repository:
    """The repository that holds a timm or open_clip model's weights.

    Raises:
        SpecError: the library does not know these weights, or has no repository for them.
    """
    return timm_repository(spec) if spec.source == "timm" else clip_repository(spec)


def timm_repository(spec: ModelSpec) -> Repository:
    """The repository of a timm model; an id without a tag means timm's default weights.

    Raises:
        SpecError: timm does not know these weights, or has no repository for them.
    """
    config = timm_config(spec)
    if not config.hf_hub_id:
        source = f"timm names only {config.url}" if config.url else "timm names no place for them"
        raise SpecError(
            f"{spec.name}: the weights {spec.id!r} are in no Hub repository; {source}. Fetch them yourself and "
            "give the file as asset: {source: path, id: FILE}, or take weights: random."
        )
    return Repository(config.hf_hub_id, _alternatives(config.hf_hub_filename, TIMM_WEIGHTS))


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


def clip_repository(spec: ModelSpec) -> Repository:
    """The repository of an open_clip model: that of ARCHITECTURE/TAG in open_clip, else the id itself.

    Raises:
        SpecError: the tag is missing, unknown for the architecture, or has no repository.
    """
    import open_clip

    architecture, _, tag = spec.id.partition("/")
    if architecture not in open_clip.list_models():
        return Repository(spec.id, CLIP_WEIGHTS, CLIP_OTHERS)
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture))
        raise SpecError(
            f"{spec.name}: open_clip has no weights {tag or '(no tag given)'} of {architecture}. "
            f"Expected {architecture}/TAG, where TAG is one of: {tags or 'none'}."
        )
    if not config.get("hf_hub"):
        raise SpecError(
            f"{spec.name}: the weights {spec.id!r} are in no Hub repository; open_clip names only {config.get('url')}. "
            "Take another tag."
        )
    owner, name, *file = config["hf_hub"].strip("/").split("/")
    return Repository(f"{owner}/{name}", _alternatives("/".join(file), CLIP_WEIGHTS), CLIP_OTHERS)


def _alternatives(named: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    """The file in a registry, preceded by its safetensors version; without an entry, the usual files."""
    if not named:
        return usual
    for known in (TIMM_WEIGHTS, CLIP_WEIGHTS):
        if named in known:
            return known
    sibling = str(Path(named).with_suffix(".safetensors"))
    return tuple(dict.fromkeys((sibling, named)))


def fetched_weights(at: Repository, revision: str) -> Path:
    """The first existing weight file of a repository at a commit, with the other files in its folder.

    Raises:
        AssetError: the repository has none of them, or cannot be reached.
    """
    for name in at.weights:
        file = snapshot(at.id, revision, (name, *at.others)) / name
        if file.is_file():
            return file
    raise AssetError(
        f"the Hub repository {at.id!r} at {revision[:12]} holds no {' or '.join(at.weights)}. "
        "Name another revision, or give the weights as an asset."
    )
