"""Examines a model before anything is fetched: location and size of its weights, and missing files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from platorep.assets import cached, survey
from platorep.assets.examining import Repository as Listing
from platorep.assets.examining import cached_repository, examine_repository
from platorep.core.errors import AssetError, PlatorepError, SpecError
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models.fetching import WEIGHT_FILES
from platorep.models.repositories import Repository
from platorep.models.resolving import with_folder
from platorep.models.source import Source
from platorep.models.sources import source_of


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
    try:
        source = source_of(spec)
    except PlatorepError as error:
        facts.found, facts.note = "no", str(error).removeprefix(f"{spec.name}: ")
        return facts
    asset = with_folder(spec, source).asset
    if source.version(spec) is not None:
        facts.found = "yes"
    elif asset is not None and asset.source != "hub":
        _examine_asset(asset, facts)
    else:
        _examine_hub(spec, source, facts, reachable)
    if facts.parameters is None:
        facts.parameters = spec.parameters or source.parameters(spec)
    if facts.disk is None and facts.parameters and facts.weights_from != "none needed" and spec.weights == "pretrained":
        facts.disk, facts.estimated = facts.parameters * source.weight_bytes, True
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


def _examine_hub(spec: ModelSpec, source: Source, facts: ModelFacts, reachable: bool) -> None:
    """A repository of the Hub, or of its cache on this machine."""
    try:
        place = _place(spec, source)
    except PlatorepError as error:  # timm or open_clip has no repository for these weights
        facts.found, facts.weights_from, facts.note = "no", "nowhere", str(error).removeprefix(f"{spec.name}: ")
        return
    facts.weights_from = f"hub: {place.id}"
    here = cached_repository(place.id, spec.revision)
    seen = examine_repository(place.id, spec.revision) if reachable else here or Listing("unknown")
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
    wanted = _wanted(place.weights, seen.sizes) if spec.weights == "pretrained" else []
    notes = [facts.note] if facts.note else []
    if here is not None and wanted and here.commit == seen.commit and set(wanted) <= here.held:
        facts.found = "here"
    elif not reachable:
        facts.found, notes = "unknown", ["its weights are not in the Hub's cache"]
    facts.disk = sum(seen.sizes[name] for name in wanted) or None
    facts.tokenizer, problems = source.examine(spec, seen, wanted)
    if spec.weights == "pretrained" and not wanted:
        problems.insert(0, _without_weights(place.weights, seen))
    if problems and facts.found in ("yes", "here"):
        facts.found = "no"
    if wanted and all(name.endswith(".bin") for name in wanted):
        notes.append("weights are pickles, of which tensors alone are read")
    facts.note = "; ".join(problems + notes)


def _place(spec: ModelSpec, source: Source) -> Repository:
    """The repository of a model's weights.

    Raises:
        SpecError: there is none.
    """
    if spec.asset is not None:  # a Hub asset: owner/name@revision
        rows = (spec.asset.members,) if spec.asset.members else WEIGHT_FILES
        return Repository(spec.asset.id.partition("@")[0], rows)
    if (place := source.repository(spec)) is None:
        raise SpecError(f"{spec.name}: source={spec.source} needs an asset")
    return place


def _wanted(rows: Sequence[tuple[str, ...]], names: Iterable[str]) -> list[str]:
    """The weight files to fetch. Patterns only match the top folder; subfolders hold copies."""
    names = list(names)
    for patterns in rows:
        if fitting := [name for name in names for pattern in patterns if _fits(name, pattern)]:
            return fitting
    return []


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")


def _without_weights(rows: Sequence[tuple[str, ...]], seen: Listing) -> str:
    kinds = sorted({Path(name).suffix for name in seen.sizes} - {"", ".md", ".txt", ".json"})
    names = " or ".join(row[0] for row in rows)
    return f"it holds no weights ({names}); it has {', '.join(kinds) or 'no such files'}"


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
