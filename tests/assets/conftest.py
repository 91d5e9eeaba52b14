from __future__ import annotations

import pytest

from platorep.assets import download as download_module
from platorep.assets import ladder
from tests.assets.archives import program


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A pip that copies a wheel from a folder, and notes how it was called."""
    shelf, calls = tmp_path / "shelf", tmp_path / "calls.txt"
    shelf.mkdir()
    script = f"""
open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
found = sorted(pathlib.Path({str(shelf)!r}).glob("*.whl"))
if not found:
    sys.exit("ERROR: No matching distribution found for " + sys.argv[-1])
shutil.copy(found[0], sys.argv[sys.argv.index("--dest") + 1])
"""
    fake = program(tmp_path / "bin" / "pip", script)
    for module in (download_module, ladder):
        monkeypatch.setattr(module, "pip_command", lambda: [str(fake)])
    return shelf, calls
