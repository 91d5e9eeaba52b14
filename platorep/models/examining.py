"""Examines a model before anything is fetched: location and size of its weights, and missing files."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from platorep.assets import cached, survey
from platorep.assets.examining import Repository, cached_repository, examine_repository
from platorep.core.errors import AssetError, PlatorepError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import repositories
from platorep.models.fetching import WEIGHT_FILES


TOKENIZERS = (
    ("tokenizer.json",), ("tokenizer.model",), ("spm.model",), ("spiece.model",), ("sentencepiece.bpe.model",),
    ("vocab.json", "merges.txt"), ("vocab.txt",), ("tekken.json",),
)  # fmt: skip
"""Groups of files, each of which is a complete tokenizer."""

SENTENCEPIECE = ("sentencepiece", "google.protobuf")
"""Packages that read a tokenizer that only has a .model file."""


@dataclass
class ModelFacts:
    """Facts about one model, without fetching it.

    Attributes:
        name: name of the model.
        id: the repository or architecture.
        weights_from: "hub: REPOSITORY", a packaged asset, or "none needed".
        found: yes | no | gated | unknown | here (its files are on this machine) | stored (its features are).
        revision: commit or hash of the weights.
        parameters: number of parameters.
        disk: bytes to fetch, or bytes of the local files.
        estimated: whether `disk` is computed from the number of parameters.
        tokenizer: the files of the tokenizer; "" if the model has none.
        token: "" | needed | granted | perhaps: whether the Hub requires the token of an account that accepted the
            terms; "perhaps" if neither the Hub nor the suite states it.
        note: what is missing or unusual, and the remedy.
    """

    name: str
    id: str
    weights_from: str
    found: str
    revision: str | None = None
    parameters: int | None = None
    disk: int | None = None
    estimated: bool = False
    tokenizer: str = ""
    token: str = ""
    note: str = ""


def examine_model(spec: ModelSpec, *, reachable: bool) -> ModelFacts:
    """Looks for a model in the same places as `extract`. Fetches and runs nothing, and raises no errors.

    Args:
        spec: the model as configured.
        reachable: whether the Hub can be reached; otherwise, its cache on this machine is examined.
    """
    facts = ModelFacts(spec.name, spec.id, "none needed", "unknown", spec.revision)
    folder = Path(spec.id).expanduser()
    asset = spec.asset
    if asset is None and spec.source in ("transformers", "open_clip") and folder.is_dir():
        asset = AssetSpec(source="path", id=spec.id)
    if spec.source in ("pixels", "tfidf") or (spec.weights == "random" and spec.source == "timm"):
        facts.found = "yes"
    elif asset is not None and asset.source != "hub":
        _examine_asset(asset, facts)
    else:
        _examine_hub(spec, facts, reachable)
    if facts.parameters is None:
        facts.parameters = spec.parameters or (_timm_parameters(spec.id) if spec.source == "timm" else None)
    if facts.disk is None and facts.parameters and facts.weights_from != "none needed" and spec.weights == "pretrained":
        facts.disk, facts.estimated = facts.parameters * (4 if spec.source == "timm" else 2), True
    return facts


def _examine_asset(asset: AssetSpec, facts: ModelFacts) -> None:
    """A packaged asset: the local files, or the source that would be used."""
    facts.revision = asset.sha256
    path = Path(asset.id).expanduser() if asset.source == "path" else cached(asset)
    files = [] if path is None or not path.exists() else [path] if path.is_file() else list(path.rglob("*"))
    files = [file for file in files if file.is_file()]
    if files:
        facts.found, facts.weights_from = "here", f"{asset.source}: {asset.id}"
        facts.disk = sum(file.stat().st_size for file in files)
        facts.parameters = sum(_numbers(file) for file in files) or None
        return
    facts.weights_from = f"{asset.source}: {asset.id}"
    if asset.source == "path":
        facts.found, facts.note = "no", f"{path} does not exist or is empty"
        return
    try:
        facts.found, facts.note = "yes", survey(asset)
    except AssetError as error:
        facts.found, facts.note = "no", str(error)


def _examine_hub(spec: ModelSpec, facts: ModelFacts, reachable: bool) -> None:
    """A repository of the Hub, or of its cache on this machine."""
    try:
        repo, rows = _place(spec)
    except PlatorepError as error:  # timm or open_clip has no repository for these weights
        facts.found, facts.weights_from, facts.note = "no", "nowhere", str(error).removeprefix(f"{spec.name}: ")
        return
    facts.weights_from = f"hub: {repo}"
    here = cached_repository(repo, spec.revision)
    seen = examine_repository(repo, spec.revision) if reachable else here or Repository("unknown")
    facts.found, facts.revision, facts.note = seen.found, seen.commit or spec.revision, seen.note
    facts.parameters = seen.parameters
    if seen.gated:
        facts.token = "granted" if seen.found == "yes" else "needed"
    elif seen.gated is None:  # the Hub did not answer: use the published value
        facts.token = {"gated": "needed", "unknown": "perhaps", "open": ""}[spec.access]
    if not reachable and here is None:
        facts.note = "nothing of it is in the Hub's cache"
    if not seen.sizes:
        return
    wanted = _wanted(rows, seen.sizes) if spec.weights == "pretrained" else []
    notes = [facts.note] if facts.note else []
    if here is not None and wanted and here.commit == seen.commit and set(wanted) <= here.held:
        facts.found = "here"
    elif not reachable:
        facts.found, notes = "unknown", ["its weights are not in the Hub's cache"]
    facts.disk = sum(seen.sizes[name] for name in wanted) or None
    problems = _problems(spec, rows, seen, wanted)
    if problems and facts.found in ("yes", "here"):
        facts.found = "no"
    if spec.source == "transformers" and spec.modality == "language":
        facts.tokenizer, missing = _tokenizer(seen.sizes)
        problems += missing
        if missing and facts.found in ("yes", "here"):
            facts.found = "no"
    if wanted and all(name.endswith(".bin") for name in wanted):
        notes.append("weights are pickles, of which tensors alone are read")
    facts.note = "; ".join(problems + notes)


def _place(spec: ModelSpec) -> tuple[str, list[tuple[str, ...]]]:
    """The repository of a model's weights, and rows of possible file names, of which the first existing row is used."""
    if spec.asset is not None:  # a Hub asset: owner/name@revision
        return spec.asset.id.partition("@")[0], [spec.asset.members] if spec.asset.members else list(WEIGHT_FILES)
    if spec.source in ("timm", "open_clip") and spec.weights == "pretrained":
        place = repositories.repository(spec)
        return place.id, [(name,) for name in place.weights]
    return spec.id, list(WEIGHT_FILES)


def _wanted(rows: list[tuple[str, ...]], names: Iterable[str]) -> list[str]:
    """The weight files to fetch. Patterns only match the top folder; subfolders hold copies."""
    names = list(names)
    for patterns in rows:
        if fitting := [name for name in names for pattern in patterns if _fits(name, pattern)]:
            return fitting
    return []


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def _problems(spec: ModelSpec, rows: list[tuple[str, ...]], seen: Repository, wanted: list[str]) -> list[str]:
    """Problems that would prevent these files from being loaded."""
    problems = []
    if spec.weights == "pretrained" and not wanted:
        kinds = sorted({Path(name).suffix for name in seen.sizes} - {"", ".md", ".txt", ".json"})
        problems.append(
            f"it holds no weights ({' or '.join(row[0] for row in rows)}); it has {', '.join(kinds) or 'no such files'}"
        )
    if spec.source == "transformers":
        kind = seen.config.get("model_type")
        if kind is not None and not spec.trust_remote_code and not _is_known(kind):
            problems.append(f"transformers has no architecture {kind!r}; the repository's own code is not run")
        if "config.json" not in seen.sizes and not (spec.asset and any(name.endswith(".gguf") for name in wanted)):
            problems.append("it has no config.json, so it is not in transformers' format")
    return problems


def _is_known(kind: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return kind in CONFIG_MAPPING_NAMES


def _tokenizer(names: Iterable[str]) -> tuple[str, list[str]]:
    """The files of a tokenizer, and packages that are missing to read it."""
    names = set(names)
    if any(name.endswith(".gguf") for name in names) and "config.json" not in names:
        return "in the GGUF file", []
    for files in TOKENIZERS:
        if names.issuperset(files):
            missing = [package for package in SENTENCEPIECE if not _has(package)]
            unread = files[0].endswith(".model") and missing
            return " + ".join(files), (
                [f"its tokenizer is {files[0]} alone, which needs {' and '.join(missing)}: pip install them"]
                if unread
                else []
            )
    return "none", ["it has no tokenizer's files"]


def _has(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _numbers(file: Path) -> int:
    """The number of parameters in a weight file, read from its header; 0 for other files."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="numpy") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    if file.suffix == ".gguf":
        from gguf import GGUFReader

        return sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors)
    if file.suffix == ".npy":
        import numpy as np

        return int(np.load(file, mmap_mode="r", allow_pickle=False).size)
    return 0


def _timm_parameters(name: str) -> int | None:
    """Parameters of a timm architecture; None if timm does not know it."""
    import timm
    import torch

    architecture = name.removeprefix("timm/").split(".")[0]
    if architecture not in timm.list_models():
        return None
    with torch.device("meta"):
        return sum(p.numel() for p in timm.create_model(architecture, pretrained=False).parameters())


def timm_patches(spec: ModelSpec) -> int | None:
    """Patches of a picture at the input size of a timm model, by its name and registry; None if these do not tell."""
    import timm

    named = re.search(r"patch(\d+)", spec.id)
    if spec.source != "timm" or named is None:
        return None
    try:
        config = timm.get_pretrained_cfg(spec.id.removeprefix("timm/"))
    except RuntimeError:
        return None
    return None if config is None else (config.input_size[1] // int(named[1])) ** 2
