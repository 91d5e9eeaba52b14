"""One command of the program in a forked copy of this process, which has loaded everything already.

A trial costs as long as the command's own work. In the child an audit hook sees every file operation below a folder. It
can end the process at one of them, as `kill -9` or the loss of power would, or refuse one, as a full disk would.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


LIBRARIES = (
    "torch", "torchvision", "transformers", "timm", "timm.data", "open_clip", "datasets", "pandas",
    "pyarrow.parquet", "hydra", "hydra.main", "omegaconf", "rich.progress", "PIL.Image", "sklearn",
    "sklearn.linear_model", "scipy.stats", "skimage", "matplotlib.pyplot", "jinja2", "safetensors.torch", "xxhash",
    "resvg_py",
)  # fmt: skip

EVENTS = {
    "open",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "shutil.rmtree",
}
"""Audit events of Python's that come before the disk changes; `os.replace` is an os.rename, `unlink` an os.remove."""


def preload(package: str) -> None:
    """Imports the libraries and every module of the package, whatever they are called today."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    root = importlib.import_module(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # a collection in a child would look through all of it, and copy its pages


def load(names: Sequence[str]) -> None:
    """Imports what a command has loaded beyond the preloaded, so that the next commands find it."""
    if names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                with contextlib.suppress(Exception):  # made by a lazy module under another name
                    importlib.import_module(name)
        gc.collect()
        gc.freeze()


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        code: exit status; negative for the signal that ended it.
        output: what it wrote to the terminal.
        seconds: how long it took.
        operations: file operations below the folder, as far as they were counted.
        timed_out: whether it was stopped because it took too long.
    """

    code: int
    output: str
    seconds: float
    operations: int = 0
    timed_out: bool = False

    @property
    def traceback(self) -> bool:
        """Whether a user would see a traceback, or the process died by itself."""
        return "Traceback (most recent call last)" in self.output or (self.code < 0 and not self.timed_out)


@dataclass
class Fault:
    """What happens to a command on its way.

    Attributes:
        kill_at: number of the file operation before which the process is killed.
        kill_after: seconds after which it is killed.
        refuse_from: number of the first operation that writes and is refused.
        refuse_with: error number of the refusal.
    """

    kill_at: int | None = None
    kill_after: float | None = None
    refuse_from: int | None = None
    refuse_with: int = errno.ENOSPC
    seen: int = field(default=0, init=False)


def run(words: Sequence[str], folder: Path, fault: Fault | None = None, limit: float = 120) -> Ended:
    """Runs `platorep WORDS` in a forked child with `folder` as its working directory, and waits for it."""
    log, notes = folder / ".said", folder / ".notes"
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(words, folder, log, notes, fault or Fault())
    stop = limit if fault is None or fault.kill_after is None else min(limit, fault.kill_after)
    timed_out = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() - start > stop:
            timed_out = stop == limit
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    output = log.read_text(errors="replace") if log.is_file() else ""
    written = notes.read_text() if notes.is_file() else ""
    operations, modules = json.loads(written or "[0, []]")
    load(modules)
    for path in (log, notes):
        path.unlink(missing_ok=True)
    return Ended(os.waitstatus_to_exitcode(status), output, time.monotonic() - start, operations, timed_out)


def _child(words: Sequence[str], folder: Path, log: Path, notes: Path, fault: Fault) -> None:
    code, before = 1, set(sys.modules)
    try:
        os.setsid()
        os.chdir(folder)
        noted = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(said, 1), os.dup2(said, 2)
        sys.addaudithook(_hook(str(folder / "outputs"), fault))
        sys.argv = ["platorep", *words]
        try:
            runpy.run_module("platorep", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        modules = [name for name in sys.modules if name not in before and "__main__" not in name]
        os.pwrite(noted, json.dumps([fault.seen, modules]).encode(), 0)
        sys.stdout.flush(), sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)


def _hook(root: str, fault: Fault):
    """Counts operations that change something below `root`, and kills or refuses at the one that the fault names."""

    def below(args: tuple) -> bool:
        for arg in args:
            if isinstance(arg, (str, os.PathLike)) and os.path.abspath(os.fspath(arg)).startswith(root):
                return True
        return len(args) > 1 and isinstance(args[-1], int) and args[-1] > 2  # relative to an open folder: `rmtree`

    def hook(event: str, args: tuple) -> None:
        if event not in EVENTS:
            return
        if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        if not below(args[:1] if event == "open" else args):
            return
        if fault.kill_at == fault.seen:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.refuse_from is not None and fault.seen >= fault.refuse_from and event in ("open", "os.mkdir"):
            raise OSError(fault.refuse_with, os.strerror(fault.refuse_with), str(args[0]))
        fault.seen += 1

    return hook
