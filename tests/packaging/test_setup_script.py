"""scripts/setup.sh makes an environment with what there is: Python with venv, else uv; the programs are stand-ins."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[2] / "scripts" / "setup.sh"

ENVIRONMENT = f"""#!/bin/sh
case "$1" in -c) exec {sys.executable} "$@";; *) echo "python $*" >> "$CALLS";; esac
"""
"""The environment's Python: it notes what it is told to install and installs nothing."""


@pytest.fixture
def machine(tmp_path):
    """Runs the script where only the named programs exist; returns its exit code, its words and the calls."""
    project, programs, calls = tmp_path / "project", tmp_path / "bin", tmp_path / "calls"
    (project / "scripts").mkdir(parents=True)
    programs.mkdir()
    shutil.copy(SCRIPT, project / "scripts")
    (project / "scripts" / "constraints.txt").touch()
    (project / "pyproject.toml").touch()
    for name in ("bash", "sh", "cat", "dirname", "rm", "mkdir", "cp", "chmod", "touch", "env"):
        (programs / name).symlink_to(shutil.which(name))
    (tmp_path / "environment").write_text(ENVIRONMENT)
    (tmp_path / "environment").chmod(0o755)

    def program(name: str, makes: bool, code: int = 0) -> None:
        made = f"mkdir -p .venv/bin && cp {tmp_path / 'environment'} .venv/bin/python" if makes else ":"
        text = f'#!/bin/sh\ncase "$1" in -c) exit 0;; esac\necho "{name} $*" >> "$CALLS"\n{made}\nexit {code}\n'
        (programs / name).write_text(text)
        (programs / name).chmod((programs / name).stat().st_mode | stat.S_IXUSR)

    def setup(**have: tuple[bool, int]) -> tuple[int, str, list[str]]:
        for name, (makes, code) in have.items():
            program(name, makes, code)
        environment = {"PATH": str(programs), "CALLS": str(calls), "HOME": str(tmp_path)}
        done = subprocess.run(
            ["bash", "scripts/setup.sh"], cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr, calls.read_text().splitlines() if calls.exists() else []

    return setup


INSTALL = "python -m pip install --quiet uv"


def test_python_with_venv_is_enough(machine):
    _, _, calls = machine(python3=(True, 0))
    assert calls[:2] == ["python3 -m venv .venv", INSTALL]


def test_uv_makes_the_environment_where_python_lacks_venv(machine):
    _, _, calls = machine(python3=(True, 1), uv=(True, 0))
    assert calls[:3] == ["python3 -m venv .venv", "uv venv --seed --python >=3.11,<3.14 .venv", INSTALL]


def test_uv_alone_is_enough(machine):
    _, _, calls = machine(uv=(True, 0))
    assert calls[:2] == ["uv venv --seed --python >=3.11,<3.14 .venv", INSTALL]


def test_neither_is_a_sentence(machine):
    code, said, calls = machine()
    assert (code, calls) == (1, [])
    assert "needs Python 3.11 to 3.13 with venv and pip, or uv" in said
