"""A loopback Hub for each test, the clients of this process turned to it, and a fresh cache.

The clients read HF_ENDPOINT, HF_HOME and the like when they are imported, so the fixture sets what they made of them,
too; `hub_environment` is the same for a child process.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import datasets
import pytest
from huggingface_hub import HfFileSystem, constants, hf_api
from huggingface_hub.utils import _http

from platorep.assets import hub as assets
from tests.hub.server import Hub


def turn_clients_to(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points huggingface_hub, transformers, timm, open_clip and datasets of this process to a Hub and a cache."""
    for name, value in hub_environment(hub, home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    set_ = monkeypatch.setattr
    set_(constants, "ENDPOINT", hub.url)
    set_(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    set_(constants, "HF_URL_HOSTS", frozenset({*constants.HF_URL_HOSTS, "127.0.0.1"}))
    set_(constants, "HF_HOME", str(home))
    set_(constants, "HF_HUB_CACHE", str(home / "hub"))
    set_(constants, "HUGGINGFACE_HUB_CACHE", str(home / "hub"))
    set_(constants, "HF_TOKEN_PATH", str(home / "token"))
    set_(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    set_(constants, "HF_HUB_OFFLINE", False)
    set_(constants, "HF_HUB_DISABLE_XET", True)
    set_(_http, "_HUB_ORIGINS", frozenset({*_http._HUB_ORIGINS, ("http", "127.0.0.1", hub.port)}))
    set_(import_module("huggingface_hub.utils._cache_manager"), "HF_HUB_CACHE", str(home / "hub"))
    set_(hf_api.api, "endpoint", hub.url)
    set_(import_module("transformers.utils.hub"), "_hf_api", None)  # made anew, with the endpoint of now
    set_(datasets.config, "HF_ENDPOINT", hub.url)
    set_(datasets.config, "HF_HUB_OFFLINE", False)
    set_(datasets.config, "HF_CACHE_HOME", str(home))
    set_(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    set_(datasets.config, "DOWNLOADED_DATASETS_PATH", home / "datasets" / "downloads")
    set_(datasets.config, "EXTRACTED_DATASETS_PATH", home / "datasets" / "downloads" / "extracted")
    HfFileSystem.clear_instance_cache()
    _http.close_session()


def hub_environment(hub: Hub, home: Path) -> dict[str, str]:
    """The environment variables that turn the clients of a child process to a Hub and a cache folder."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0",
        "PLATOREP_CACHE": str(home / "platorep"),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgets what this process was told by the Hub and found intact, as a new process has not heard it."""
    monkeypatch.setattr(assets, "_resolved", {})
    monkeypatch.setattr(assets, "_checked", set())


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_OFFLINE=1 does to the clients of this process."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The Hub's cache of one test (HF_HOME): `home / "hub"` holds files, `home / "datasets"` prepared datasets."""
    return tmp_path / "huggingface"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch):
    """A running, empty Hub that the clients of this process talk to, with a fresh cache."""
    with Hub() as server:
        turn_clients_to(server, home, monkeypatch)
        start_anew(monkeypatch)
        yield server
    _http.close_session()
    HfFileSystem.clear_instance_cache()
