"""`platorep doctor`: what would run here, how large it is and what is missing, before anything is fetched."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from rich.table import Table

from platorep.assets.examining import token_state
from platorep.commands.expectations import TOKENS
from platorep.commands.experiment import Experiment
from platorep.commands.pairs import named_dataset
from platorep.commands.tables import plain_table
from platorep.core.errors import StoreError
from platorep.core.progress import console_for_tables
from platorep.core.provenance import versions
from platorep.core.specs import CorpusSpec, DatasetSpec, ModelSpec
from platorep.data.examining import DataFacts, examine_data
from platorep.models import source_of
from platorep.models.examining import ModelFacts, examine_model


HUB_SECONDS = 5.0
"""Timeout in seconds after which the Hub counts as unreachable."""

AT_ONCE = 8
"""Number of simultaneous requests to the Hub."""

EFFICIENCY = 0.4
"""Share of the measured matrix throughput that a forward pass is assumed to reach."""

BYTES_A_WEIGHT = {"float32": 4.0, "float16": 2.0, "bfloat16": 2.0, "8bit": 1.0, "4bit": 0.5}


@dataclass
class Machine:
    """Hardware, software and connections of this machine."""

    device: str
    device_memory: int
    device_name: str
    disk_free: int
    versions: dict[str, str]
    hub: str
    token: str
    tools: dict[str, bool]
    problems: list[str] = field(default_factory=list)

    @property
    def reachable(self) -> bool:
        """Whether requests to the Hub are possible."""
        return self.hub == "reachable"


@dataclass
class Model(ModelFacts):
    """One model on this machine: bytes in memory, whether they fit, and seconds to extract."""

    memory: int | None = None
    fits: bool | None = None
    seconds: float | None = None


def doctor(experiment: Experiment, as_json: bool) -> None:
    """Prints facts about the machine, models and data, as tables for people or as one JSON object for programs."""
    machine = examine_machine(experiment)
    data = examine_all_data(wanted_data(experiment), machine)
    models = examine_models(experiment.models, experiment.dataset.n or 1024, machine)
    for spec, model in zip(experiment.models, models, strict=True):
        _mark_stored(model, spec, experiment)
    if as_json:
        parts: dict[str, Sequence[ModelFacts | DataFacts]] = {"models": models, "data": data}
        lists = {name: [asdict(row) for row in part] for name, part in parts.items()}
        sys.stdout.write(json.dumps({"machine": asdict(machine), **lists}, indent=1) + "\n")
        return
    console = console_for_tables()
    console.print(_machine_table(machine))
    for problem in machine.problems:
        console.print(f"[bold red]problem:[/] {problem}")
    console.print(_model_table(models))
    console.print(_data_table(data))
    for line in notes([*models, *data]):
        console.print(line)
    for line in summary(models, data, machine):
        console.print(line)


# the machine ----------------------------------------------------------------------------------------------------------


def examine_machine(experiment: Experiment) -> Machine:
    """Devices, memory, disk, versions, tools, the Hub, and combinations that are known to fail."""
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
    hub = hub_state()
    return Machine(
        device=device,
        device_memory=free,
        device_name=name,
        disk_free=shutil.disk_usage(root).free,
        versions=versions(),
        hub=hub,
        token=token_state() if hub == "reachable" else "not checked",
        tools={tool: shutil.which(tool) is not None for tool in ("apt-get", "dpkg-deb", "pip", "uv")},
        problems=problems,
    )


def torchvision_problem() -> str | None:
    """The reason why the installed torchvision does not fit the installed torch, or None."""
    try:
        import torchvision  # noqa: F401 - registers its operators, which fails where it was built for another torch
    except (ImportError, RuntimeError, AttributeError) as error:
        installed = {}
        for name in ("torch", "torchvision"):
            try:
                installed[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                installed[name] = "not installed"
        return (
            f"torchvision {installed['torchvision']} does not fit torch {installed['torch']} ({error}). transformers "
            "then fails with misleading import errors. Install both at once from one index: "
            "pip install --force-reinstall torch torchvision."
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


# models and data ------------------------------------------------------------------------------------------------------


def examine_models(specs: Sequence[ModelSpec], n: int, machine: Machine) -> list[Model]:
    """A row per model: source, availability and size of its weights, and the expected time for n samples."""
    throughput = _matrix_throughput(machine.device)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        look = partial(examine_model, reachable=machine.reachable)
        return [
            _on_this_machine(facts, spec, n, machine, throughput)
            for facts, spec in zip(pool.map(look, specs), specs, strict=True)
        ]


def _on_this_machine(facts: ModelFacts, spec: ModelSpec, n: int, machine: Machine, throughput: float) -> Model:
    model = Model(**asdict(facts))
    dtype = spec.quantize or (
        spec.dtype if spec.dtype != "auto" else "float32" if machine.device == "cpu" else "bfloat16"
    )
    if model.parameters:
        model.memory = int(model.parameters * BYTES_A_WEIGHT[dtype])
        model.fits = model.memory < 0.9 * machine.device_memory
        if (source := source_of(spec)).is_network:  # word vectors are looked up, not computed
            tokens = source.tokens(spec) or TOKENS.get(spec.modality, 100)
            operations = 2.0 * model.parameters * tokens * n
            model.seconds = operations / (EFFICIENCY * throughput)
    return model


def _mark_stored(model: Model, spec: ModelSpec, experiment: Experiment) -> None:
    """Marks a model whose features are already stored; features extracted with other settings do not count."""
    try:
        features = experiment.find(spec)
    except StoreError:
        return
    if features is None:
        return
    model.found, model.revision, model.note = "stored", features.spec.model.revision, ""
    model.parameters = features.scalars.get("parameters") or model.parameters


def wanted_data(experiment: Experiment) -> list[tuple[str, DatasetSpec | CorpusSpec]]:
    """The data that a run reads: pairs, corpus and tasks of the probes; each repository once, with its role."""
    wanted: list[tuple[str, DatasetSpec | CorpusSpec]] = [("pairs", experiment.dataset)]
    if experiment.corpus is not None:
        wanted.append(("corpus", experiment.corpus))
    once: dict[tuple[str | None, ...], tuple[str, DatasetSpec | CorpusSpec]] = {}
    for task in experiment.probe.tasks if experiment.probe is not None else ():
        for spec in filter(None, (task.dataset, task.validation)):
            once.setdefault(
                (spec.source, spec.id or spec.name, spec.revision, spec.config), (f"task {task.name}", spec)
            )
    return wanted + list(once.values())


def examine_all_data(wanted: Sequence[tuple[str, DatasetSpec | CorpusSpec]], machine: Machine) -> list[DataFacts]:
    """A row per dataset or corpus."""

    def look(entry: tuple[str, DatasetSpec | CorpusSpec]) -> DataFacts:
        role, spec = entry
        return examine_data(spec, role, reachable=machine.reachable, named=named_dataset)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(look, wanted))


def _matrix_throughput(device: str) -> float:
    """Operations per second of a square matrix product on the device, measured for about a fifth of a second."""
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


# tables ---------------------------------------------------------------------------------------------------------------


def summary(models: Sequence[Model], data: Sequence[DataFacts], machine: Machine) -> list[str]:
    """Summary of the tables: size of the downloads, models that need a token, models that are not available."""
    missing = [row for row in models if row.found not in ("here", "stored") and row.weights_from != "none needed"]
    sizes = {(row.weights_from, row.revision): row.disk or 0 for row in missing}  # each checkpoint once
    stored = sum(row.found == "stored" for row in models)
    lines = [
        f"{len(models)} models, {stored} already extracted; at most {sum(sizes.values()) / 1e9:.1f} GB to fetch "
        f"(the largest {max(sizes.values(), default=0) / 1e9:.1f} GB: evict=true keeps one at a time), "
        f"{machine.disk_free / 1e9:.0f} GB free."
    ]
    rows: list[ModelFacts | DataFacts] = [*models, *data]
    for state, sentence in (
        ("needed", "A token (HF_TOKEN, or `hf auth login`) of an account that accepted their terms is needed for"),
        ("perhaps", "A token may be needed, because they have asked for terms, for"),
    ):
        if names := [row.name for row in rows if row.token == state and row.found != "stored"]:
            lines.append(f"{sentence}: {', '.join(names)}.")
    if names := [row.name for row in rows if row.found == "no"]:
        lines.append(f"Not available: {', '.join(names)}. The notes say why.")
    return lines


def notes(rows: Sequence[ModelFacts | DataFacts]) -> list[str]:
    """The distinct notes of the rows, each after the names of the rows that have it."""
    about: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            about.setdefault(row.note, []).append(row.name)
    return [f"{', '.join(dict.fromkeys(names))}: {note}" for note, names in about.items()]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def _size(value: int | None, estimated: bool = False) -> str:
    return "?" if value is None else f"{'~' if estimated else ''}{value / 1e9:.2f} GB"


def _machine_table(machine: Machine) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("device", f"{machine.device} ({machine.device_name}), {machine.device_memory / 1e9:.1f} GB free")
    table.add_row("disk", f"{machine.disk_free / 1e9:.0f} GB free")
    table.add_row("hub", machine.hub)
    table.add_row("token", machine.token)
    table.add_row("tools", ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in machine.tools.items()))
    table.add_row("versions", ", ".join(f"{name} {version}" for name, version in machine.versions.items()))
    return table


def _model_table(models: Sequence[Model]) -> Table:
    table = plain_table(
        "model", "weights from", "found", "revision", "parameters", "on disk", "in memory", "fits", "expected",
        "tokenizer", "token",
    )  # fmt: skip
    for model in models:
        table.add_row(
            model.name,
            model.weights_from,
            model.found,
            (model.revision or "?")[:12],
            "?" if model.parameters is None else f"{model.parameters / 1e6:.0f}M",
            _size(model.disk, model.estimated),
            _size(model.memory),
            {None: "?", True: "yes", False: "NO"}[model.fits],
            _time(model.seconds),
            model.tokenizer,
            model.token,
        )
    return table


def _data_table(data: Sequence[DataFacts]) -> Table:
    table = plain_table("data", "used for", "taken from", "found", "revision", "on disk", "token")
    for dataset in data:
        revision = (dataset.revision or "?")[:12]
        table.add_row(
            dataset.name, dataset.role, dataset.taken_from, dataset.found, revision, _size(dataset.disk), dataset.token
        )
    return table
