"""The wheel carries the configuration and every data file, and works away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_every_file_of_the_package_and_of_the_configuration_is_in_the_wheel(unpacked):
    tracked = subprocess.run(
        ["git", "ls-files", "platorep", "configs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {
        name if name.startswith("platorep/") else f"platorep/{name}" for name in tracked if (ROOT / name).exists()
    }
    got = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert expected - got == set()


def test_the_command_works_from_the_wheel_in_another_folder(unpacked, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-m", "platorep", "extract", "--cfg", "job", "suite=tiny", "dataset=synthetic"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "gpt2" in done.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import platorep.cli.schema as c; print(c.config_dir())"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert where == str(unpacked / "platorep" / "configs")
