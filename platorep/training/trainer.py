"""Trains a network as its spec says, deterministically on the CPU, and keeps its weights in the cache.

The weights lie in CACHE/trained/KEY as safetensors: epoch-005.safetensors for the epochs of `kept`, and, while training
goes on, state.safetensors with the weights and Adam's moments after the last whole epoch, from which it is resumed.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

from platorep.assets import cache_dir
from platorep.core.digest import digest
from platorep.core.errors import SpecError
from platorep.core.files import write_atomically
from platorep.core.specs import DatasetSpec, ModelSpec, TrainingSpec
from platorep.training.networks import Network, build
from platorep.training.pictures import Labelled, Library, training_part


log = logging.getLogger(__name__)

VERSION = 1
"""Incremented when a spec gives other weights."""

WARM_UP = 0.05
"""Share of the steps over which the rate rises."""

Report = Callable[[int, int, str], object]
"""`report(done, total, what)`: called after each epoch."""

_GENERATOR = threading.Lock()
"""Held while torch's global generator draws first weights."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def training_of(spec: ModelSpec) -> TrainingSpec:
    """How a network gets its weights.

    Raises:
        SpecError: the model does not say so, or takes the weights of an epoch that is not kept.
    """
    training = spec.training
    if training is None:
        raise SpecError(f"{spec.name}: a network of source=trained needs training.dataset, labelled pictures.")
    if training.stop is not None and training.stop not in kept(training.epochs):
        epochs = ", ".join(map(str, kept(training.epochs)))
        raise SpecError(f"{spec.name}: training.stop is {training.stop}; the weights of epochs {epochs} are kept.")
    return training


def kept(epochs: int) -> list[int]:
    """Epochs after which the weights are kept: 0, 1, 2, 5, 10, 20, 50, ... and the last."""
    series = [step * 10**power for power in range(len(str(epochs))) for step in (1, 2, 5)]
    return sorted({0, epochs, *(epoch for epoch in series if epoch < epochs)})


def version() -> str:
    """What the weights of a spec depend on besides the spec: the trainer, and torch, whose kernels round."""
    return f"{VERSION}-torch-{torch.__version__}"


def folder_of(spec: ModelSpec, dataset: DatasetSpec) -> Path:
    """The folder of a network's weights; `dataset` is that of its training, with its revision."""
    training = training_of(spec).replace(dataset=dataset, stop=None)
    code = {"id": spec.id, "seed": spec.seed, "training": training.identity(), "version": version()}
    return cache_dir() / "trained" / f"{spec.id}-{digest(code)}"


def trained(spec: ModelSpec, *, library: Library | None = None, report: Report | None = None) -> Network:
    """A network with the weights of its spec, trained first if they are not in the cache; float32 on the CPU.

    Args:
        spec: a model of source=trained. weights="random" takes the weights before the first step.
        library: datasets that several networks share.
        report: called after each epoch.

    Raises:
        SpecError: the spec is no such network.
        AssetError: the pictures cannot be fetched.

    Cost: epochs x pictures, on one thread; a second call reads a file.
    """
    training = training_of(spec)
    library = library or Library()
    folder = folder_of(spec, library.resolved(training.dataset))
    stop = _stop(spec)
    path = folder / f"epoch-{stop:03d}.safetensors"
    state = _read(path)
    if state is None:
        data = library.labelled(training.dataset, training.side, training.channels)
        network = _seeded(spec, len(data.classes))
        with one_thread():
            _run(network, spec, training_part(data, training), folder, stop, report)
        state = load_file(path)
    classes = len(state["head.affine.bias" if "head.affine.bias" in state else "head.bias"])
    with torch.device("meta"):  # nothing is drawn
        network = _new(spec, classes)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def train_all(specs: Sequence[ModelSpec], *, threads: int, report: Report | None = None) -> list[Network]:
    """The networks of several specs, trained `threads` at a time, each on one thread; see `trained`.

    Weights do not depend on the other networks. Specs that differ in `stop` alone are one training.
    """
    groups: dict[Path, list[ModelSpec]] = {}
    library = Library()
    for spec in specs:
        groups.setdefault(folder_of(spec, library.resolved(training_of(spec).dataset)), []).append(spec)
    done, stopped = 0, threading.Event()

    def go_on(epoch: int, total: int, what: str) -> None:
        if stopped.is_set():
            raise _StoppedError

    def train(group: list[ModelSpec]) -> None:
        nonlocal done
        longest = max(group, key=_stop)
        trained(longest, library=library, report=go_on)
        done += 1
        if report is not None:
            report(done, len(groups), longest.name)

    with one_thread(), ThreadPoolExecutor(threads) as pool:  # new threads take the setting of the process
        futures = [pool.submit(train, group) for group in groups.values()]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:  # an interrupt as well: the others end after their epoch, from which they can be resumed
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [trained(spec, library=library) for spec in specs]


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch's products, because their rounding may depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _StoppedError(Exception):
    """Ends a training because another one failed."""


def _stop(spec: ModelSpec) -> int:
    """The epoch whose weights a spec takes."""
    training = training_of(spec)
    if spec.weights == "random":
        return 0
    return training.epochs if training.stop is None else training.stop


def _new(spec: ModelSpec, classes: int) -> Network:
    training = training_of(spec)
    return build(spec.id, side=training.side, channels=training.channels, classes=classes)


def _seeded(spec: ModelSpec, classes: int) -> Network:
    """The network before the first step. The global generator is one for all threads, and is left as it was."""
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        return _new(spec, classes)


def _run(network: Network, spec: ModelSpec, part: Labelled, folder: Path, stop: int, report: Report | None) -> None:
    """Trains up to epoch `stop` from the last whole epoch on disk."""
    training = training_of(spec)
    order = torch.channels_last if network.kind == "conv" else torch.contiguous_format
    network.to(memory_format=order).train()
    pictures = part.inputs.contiguous(memory_format=order)
    optimizer = torch.optim.Adam(network.parameters(), lr=training.rate, fused=True)
    per_epoch = math.ceil(len(part) / training.batch)
    done = _resume(network, optimizer, folder / "state.safetensors", stop)
    if done == 0:
        _keep(network, folder, 0)
    for epoch in range(done, stop):
        order_of = torch.randperm(len(part), generator=_generator(spec, epoch))
        for number, places in enumerate(order_of.split(training.batch)):
            rate = training.rate * schedule((epoch * per_epoch + number) / (training.epochs * per_epoch))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = functional.cross_entropy(network(pictures[places]), part.labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch + 1 in kept(training.epochs):
            _keep(network, folder, epoch + 1)
        _save_state(network, optimizer, folder / "state.safetensors", epoch + 1)
        if report is not None:
            report(epoch + 1, stop, spec.name)
    if stop == training.epochs:
        (folder / "state.safetensors").unlink(missing_ok=True)


def schedule(done: float) -> float:
    """Factor of the learning rate after a share of the steps: a linear rise, then half a cosine to 0."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _generator(spec: ModelSpec, epoch: int) -> torch.Generator:
    """Source of the order of an epoch: forks that share it so far draw the same."""
    training = training_of(spec)
    order = training.order if epoch >= training.shared else 0
    return torch.Generator().manual_seed(int(digest([spec.seed, epoch, order]), 16))


def _keep(network: Network, folder: Path, epoch: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    write_atomically(folder / f"epoch-{epoch:03d}.safetensors", lambda path: save_file(state, path))


def _save_state(network: Network, optimizer: torch.optim.Adam, path: Path, epoch: int) -> None:
    tensors = {f"weights/{name}": value.contiguous() for name, value in network.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"{number}/{name}": moments[name].contiguous() for name in _MOMENTS}
    write_atomically(path, lambda file: save_file(tensors, file, {"epoch": json.dumps(epoch)}))


def _resume(network: Network, optimizer: torch.optim.Adam, path: Path, stop: int) -> int:
    """Restores the state after the last whole epoch and returns the number of epochs.

    Returns 0, and restores nothing, where there is no readable state, or one from after epoch `stop`.
    """
    state = _read(path)
    if state is None:
        return 0
    with safe_open(path, "pt") as file:
        epoch = int(json.loads(file.metadata()["epoch"]))
    if epoch > stop:
        return 0
    weights = {name: value for name, value in state.items() if name.startswith("weights/")}
    network.load_state_dict({name.removeprefix("weights/"): value for name, value in weights.items()})
    saved = optimizer.state_dict()
    count = len(saved["param_groups"][0]["params"])
    saved["state"] = {number: {name: state[f"{number}/{name}"] for name in _MOMENTS} for number in range(count)}
    optimizer.load_state_dict(saved)
    log.info("%s: training is resumed after epoch %d", path.parent.name, epoch)
    return epoch


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    """The tensors of a file; None if there is none, or it is damaged and will be made again."""
    if not path.is_file():
        return None
    try:
        return load_file(path)
    except SafetensorError as error:
        log.warning("%s is damaged (%s) and is made again.", path, error)
        return None
