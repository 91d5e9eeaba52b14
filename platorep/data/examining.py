"""Examines pairs and corpora before anything is fetched: availability, source and size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from platorep.assets import survey
from platorep.assets.examining import Repository, cached_repository, examine_repository
from platorep.assets.hub import branches
from platorep.core.errors import AssetError
from platorep.core.specs import CorpusSpec, DatasetSpec


DATA = (
    ".parquet", ".arrow", ".csv", ".tsv", ".json", ".jsonl", ".tar", ".zip", ".gz", ".zst", ".xz", ".txt",
    ".png", ".jpg", ".jpeg", ".webp",
)  # fmt: skip
"""Suffixes of the files that the datasets library treats as data."""

NOT_DATA = ("dataset_infos.json", "nshards.txt", "classnames.txt", "zeroshot_classification_templates.txt")


@dataclass
class DataFacts:
    """Facts about pairs, a corpus or the pictures of a task, without fetching them.

    Attributes:
        name: name of the dataset or corpus.
        role: its use: pairs, corpus, or the tasks of the probes.
        taken_from: the repository, the source of a packaged asset, a folder, or "none needed".
        found: yes | no | gated | unknown | here | stored, as for models.
        revision: commit or content hash.
        disk: bytes of its files.
        token: "" | needed | granted.
        note: what is missing or unusual, and the remedy.
    """

    name: str
    role: str
    taken_from: str
    found: str
    revision: str | None = None
    disk: int | None = None
    token: str = ""
    note: str = ""


def examine_data(
    spec: DatasetSpec | CorpusSpec, role: str, *, reachable: bool, named: Callable[[str], DatasetSpec] | None = None
) -> DataFacts:
    """Looks for a dataset or corpus in the same places as a run. Fetches nothing and raises no errors.

    Args:
        spec: the spec as configured.
        role: its use.
        reachable: whether the Hub can be reached; otherwise, its cache on this machine is examined.
        named: returns the dataset of a configuration's name, for replacements.
    """
    facts = DataFacts(spec.name, role, "none needed", "yes", spec.revision)
    folder = Path(spec.id).expanduser()
    if spec.source == "folder" or (spec.source == "hub" and folder.is_dir()):
        facts.taken_from = f"folder: {folder}"
        if not folder.is_dir():
            facts.found, facts.note = "no", f"{folder} is not a folder"
        else:
            facts.found = "here"
            facts.disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    elif spec.source == "hub":
        _examine_hub(spec, facts, reachable)
    elif isinstance(spec, DatasetSpec) and spec.assets:
        _examine_assets(spec, facts, named)
    return facts


def _examine_assets(spec: DatasetSpec, facts: DataFacts, named: Callable[[str], DatasetSpec] | None) -> None:
    """Packaged pairs: the source of each asset, and the replacement if no source is available."""
    facts.revision = "-".join((asset.sha256 or "")[:12] for asset in spec.assets)
    facts.taken_from = ", ".join(f"{asset.source}: {asset.id}" for asset in spec.assets)
    try:
        ways = [survey(asset) for asset in spec.assets]
        facts.found = "here" if all(way.startswith("in the cache") for way in ways) else "yes"
        facts.note = "; ".join(dict.fromkeys(ways))
    except AssetError as error:
        facts.found, facts.note = "no", str(error)
        if spec.instead is not None:
            facts.note += f"; a run takes {spec.instead} instead"
            if named is not None:
                other = examine_data(named(spec.instead), facts.role, reachable=False)
                facts.note += (
                    f" ({other.note})" if other.found != "no" else f", which is not available either: {other.note}"
                )


def _examine_hub(spec: DatasetSpec | CorpusSpec, facts: DataFacts, reachable: bool) -> None:
    """A dataset repository of the Hub, or of its cache on this machine."""
    facts.taken_from = f"hub: {spec.id}"
    here = cached_repository(spec.id, spec.revision, repo_type="dataset")
    if reachable:
        seen = examine_repository(spec.id, spec.revision, repo_type="dataset")
    else:
        seen = here or Repository("unknown", note="nothing of it is in the Hub's cache")
    facts.found, facts.revision, facts.note = seen.found, seen.commit or spec.revision, seen.note
    facts.token = "" if not seen.gated else "granted" if seen.found == "yes" else "needed"
    if not seen.sizes:
        return
    data = _data_files(seen.sizes, spec.config)
    if isinstance(spec, CorpusSpec) and spec.max_bytes is not None:
        data = sorted(data)[:1]  # files are fetched one by one until the text suffices
    facts.disk = sum(seen.sizes[name] for name in data) or None
    if not data and seen.found in ("yes", "here"):
        facts.found, facts.note = "no", _without_data(spec, seen)
    elif here is not None and here.commit == seen.commit and set(data) <= here.held:
        facts.found = "here"
    elif not reachable:
        facts.found, facts.note = "unknown", "not all of its files are in the Hub's cache"


def _data_files(names: Iterable[str], config: str | None) -> list[str]:
    """The data files: those in the folder of the config, if it has one."""
    data = [name for name in names if name.endswith(DATA) and name.rpartition("/")[2] not in NOT_DATA]
    return [name for name in data if config is not None and f"/{config}/" in f"/{name}"] or data


def _without_data(spec: DatasetSpec | CorpusSpec, seen: Repository) -> str:
    if programs := [name for name in seen.sizes if name.endswith(".py")]:
        return f"it is a program ({programs[0]}), which is not run; try revision=refs/convert/parquet"
    others = ", ".join(branches(spec.id, repo_type="dataset"))
    return f"it has no data files at {spec.revision or 'main'}; its branches are {others}: set revision"
