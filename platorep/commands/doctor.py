"""`platorep doctor`: what would run here, how large it is and what is missing, before anything is fetched."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.table import Table

from platorep.commands.experiment import Experiment
from platorep.core.errors import StoreError
from platorep.core.progress import console_for_tables
from platorep.core.provenance import versions
from platorep.core.specs import AssetSpec, ModelSpec


HUB_SECONDS = 5.0
"""How long to wait for the Hub before it counts as not reachable."""

TOKENS_A_SAMPLE = {"language": 30, "vision": 257}
"""Assumed for the expected time: a caption's tokens, and the patches of a 224-pixel picture at 14 pixels with one class token."""

EFFICIENCY = 0.4
"""Share of the measured matrix throughput that a forward pass is assumed to reach."""

BYTES_A_WEIGHT = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "8bit": 1.0, "4bit": 0.5}


@dataclass
class Machine:
    """What this machine is and has."""

    device: str
    device_memory: int
    device_name: str
    disk_free: int
    versions: dict[str, str]
    hub: str
    tools: dict[str, bool]
    problems: list[str] = field(default_factory=list)


@dataclass
class Model:
    """What is known of one model without fetching it."""

    name: str
    id: str
    weights_from: str
    found: str  # yes | no | gated | unknown | here (its files are) | stored (its features are)
    revision: str | None = None
    parameters: int | None = None
    disk: int | None = None
    memory: int | None = None
    fits: bool | None = None
    seconds: float | None = None
    note: str = ""


def doctor(experiment: Experiment, as_json: bool) -> None:
    """Prints the machine and a row a model: tables for people, one JSON object for programs."""
    machine = examine_machine(experiment)
    throughput = _matrix_throughput(machine.device)
    n = experiment.dataset.n or 1024
    models = [examine_model(spec, experiment, machine, throughput, n) for spec in experiment.models]
    if as_json:
        sys.stdout.write(
            json.dumps({"machine": asdict(machine), "models": [asdict(one) for one in models]}, indent=1) + "\n"
        )
        return
    console = console_for_tables()
    console.print(_machine_table(machine))
    for problem in machine.problems:
        console.print(f"[bold red]problem:[/] {problem}")
    console.print(_model_table(models))
    wanted = [one for one in models if one.found not in ("here", "stored") and one.weights_from != "none needed"]
    missing = {(one.weights_from, one.id): one.disk or 0 for one in wanted}  # each asset once
    console.print(
        f"{len(models)} models, {sum(one.found == 'stored' for one in models)} already extracted; "
        f"at most {sum(missing.values()) / 1e9:.1f} GB to fetch, {machine.disk_free / 1e9:.0f} GB free."
    )


def examine_machine(experiment: Experiment) -> Machine:
    """Devices, memory, disk, versions, tools, and combinations that are known to fail."""
    import psutil
    import torch

    device = str(experiment.device)
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    else:
        free, name = psutil.virtual_memory().available, f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    problems = [problem for problem in (torchvision_problem(),) if problem]
    if sys.version_info >= (3, 14):
        problems.append("Python 3.14: Hydra 1.3 does not start on it. Use Python 3.11 to 3.13.")
    root = experiment.root if experiment.root.exists() else Path.cwd()
    return Machine(
        device=device,
        device_memory=free,
        device_name=name,
        disk_free=shutil.disk_usage(root).free,
        versions=versions(),
        hub=hub_state(),
        tools={tool: shutil.which(tool) is not None for tool in ("apt-get", "dpkg-deb", "pip")},
        problems=problems,
    )


def torchvision_problem() -> str | None:
    """What is wrong with the installed torchvision for the installed torch, or None."""
    try:
        import torchvision  # noqa: F401 - registers its operators, which fails where it was built for another torch
    except (ImportError, RuntimeError, AttributeError) as error:
        found = {}
        for name in ("torch", "torchvision"):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "not installed"
        return (
            f"torchvision {found['torchvision']} does not fit torch {found['torch']} ({error}). transformers then fails with "
            "misleading import errors. Install both at once from one index: pip install --force-reinstall torch torchvision."
        )
    return None


def hub_state() -> str:
    """Whether the model Hub answers: "reachable", "offline by HF_HUB_OFFLINE", or why not."""
    import requests
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "offline by HF_HUB_OFFLINE"
    try:
        requests.head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except requests.RequestException as error:
        return f"not reachable ({type(error).__name__})"
    return "reachable"


def examine_model(spec: ModelSpec, experiment: Experiment, machine: Machine, throughput: float, n: int) -> Model:
    """One row: where the weights come from, whether they can be had, how large, how long."""
    local = spec.source in ("pixels", "tfidf") or (spec.weights == "random" and spec.source == "timm")
    source = f"{spec.asset.source}: {spec.asset.id}" if spec.asset else "none needed" if local else "hub"
    row = Model(name=spec.name, id=spec.id, weights_from=source, found="unknown", revision=spec.revision)
    try:
        features = experiment.find(spec)
    except StoreError:
        features = None  # stored with other settings: this run would extract it anew
    if features is not None:
        row.found, row.revision = "stored", features.spec.model.revision
        row.parameters = features.scalars.get("parameters")
    if row.found != "stored":
        if spec.asset is not None or local:
            row.found = "yes"
            row.revision = spec.asset.sha256 if spec.asset else None
        elif machine.hub == "reachable":
            _ask_hub(spec, row)
        else:
            row.note = f"Hub {machine.hub}"
    if row.parameters is None and spec.asset is not None and (files := _files_here(spec.asset)):
        row.found = "here" if row.found == "yes" else row.found
        row.disk = sum(file.stat().st_size for file in files)
        row.parameters = sum(_numbers(file) for file in files) or None
    if row.parameters is None and spec.source == "timm":
        row.parameters = _timm_parameters(spec.id)
    dtype = spec.quantize or (
        spec.dtype if spec.dtype != "auto" else "float32" if machine.device == "cpu" else "bfloat16"
    )
    if row.parameters:
        row.memory = int(row.parameters * BYTES_A_WEIGHT[dtype])
        row.fits = row.memory < 0.9 * machine.device_memory
        if spec.source != "static":  # whose numbers are looked up, not multiplied
            row.seconds = 2.0 * row.parameters * TOKENS_A_SAMPLE.get(spec.modality, 100) * n / (EFFICIENCY * throughput)
        row.disk = row.disk or row.memory
    return row


def _files_here(asset: AssetSpec) -> list[Path]:
    """The files of an asset that is on this machine already; none where it has to be fetched first."""
    from platorep.assets import cached

    path = Path(asset.id).expanduser() if asset.source == "path" else cached(asset)
    if path is None or not path.exists():
        return []
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _numbers(file: Path) -> int:
    """How many numbers a weight file holds, by its header alone; 0 for any other file."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="numpy") as tensors:
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118 - no mapping
    if file.suffix == ".gguf":
        from gguf import GGUFReader

        return sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors)
    if file.suffix == ".npy":
        import numpy as np

        return int(np.load(file, mmap_mode="r", allow_pickle=False).size)
    return 0


def _ask_hub(spec: ModelSpec, row: Model) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    name = f"timm/{spec.id}" if spec.source == "timm" else spec.id
    try:
        info = HfApi().model_info(name, revision=spec.revision, files_metadata=True, timeout=HUB_SECONDS)
    except GatedRepoError:
        row.found, row.note = "gated", f"accept its terms on the Hub page of {name} and log in"
        return
    except RepositoryNotFoundError:
        row.found, row.note = "no", f"no repository {name} on the Hub, or it is private and you are not logged in"
        return
    row.found, row.revision = ("gated" if info.gated else "yes"), info.sha
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    safetensors = sum(size for name, size in sizes.items() if name.endswith(".safetensors"))
    row.disk = safetensors or sum(size for name, size in sizes.items() if name.endswith((".bin", ".gguf")))
    if info.safetensors is not None:
        row.parameters = info.safetensors.total


def _timm_parameters(name: str) -> int | None:
    import timm
    import torch

    architecture = name.split(".")[0]
    if architecture not in timm.list_models():
        return None
    with torch.device("meta"):
        return sum(p.numel() for p in timm.create_model(architecture, pretrained=False).parameters())


def _matrix_throughput(device: str) -> float:
    """Operations a second of a square matrix product on the device, measured for about a fifth of a second."""
    import torch

    size, dtype = (1024, torch.float32) if device == "cpu" else (8192, torch.bfloat16)
    a = torch.ones(size, size, device=device, dtype=dtype)
    a @ a
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < 0.2:
        a @ a
        if device != "cpu":
            torch.cuda.synchronize()
        steps += 1
    return 2.0 * size**3 * steps / (time.perf_counter() - start)


def _machine_table(machine: Machine) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("device", f"{machine.device} ({machine.device_name}), {machine.device_memory / 1e9:.1f} GB free")
    table.add_row("disk", f"{machine.disk_free / 1e9:.0f} GB free")
    table.add_row("hub", machine.hub)
    table.add_row("tools", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in machine.tools.items()))
    table.add_row("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items()))
    return table


def _model_table(models: list[Model]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (
        "model",
        "weights from",
        "found",
        "revision",
        "parameters",
        "on disk",
        "in memory",
        "fits",
        "expected",
        "note",
    ):
        table.add_column(column, overflow="fold")

    def size(value: int | None) -> str:
        return "?" if value is None else f"{value / 1e9:.2f} GB"

    for one in models:
        table.add_row(
            one.name,
            one.weights_from,
            one.found,
            (one.revision or "?")[:12],
            "?" if one.parameters is None else f"{one.parameters / 1e6:.0f}M",
            size(one.disk),
            size(one.memory),
            {None: "?", True: "yes", False: "NO"}[one.fits],
            "?" if one.seconds is None else f"{one.seconds:.0f} s",
            one.note,
        )
    return table
