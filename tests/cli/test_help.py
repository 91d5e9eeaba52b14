"""The root command answers without loading what it does not need."""

import subprocess
import sys

import pytest

from platorep.cli.commands import COMMANDS


HEAVY = ("torch", "hydra", "transformers", "pandas", "matplotlib")


def modules_after(code: str) -> set[str]:
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_imports_neither_torch_nor_hydra():
    found = modules_after("from platorep.cli import app; app(['--help'])")
    assert "platorep.cli" in found
    assert not found & set(HEAVY)


def test_the_check_above_can_fail():
    assert "pandas" in modules_after("import platorep.cli, pandas")


@pytest.mark.parametrize("command", [*COMMANDS, "table", "store"])
def test_every_command_is_listed(command):
    done = subprocess.run([sys.executable, "-m", "platorep", "--help"], capture_output=True, text=True, check=True)
    assert f" {command} " in done.stdout


@pytest.mark.parametrize("words", [["ls", "suites"], ["doctor", "suite=tiny", "dataset.n=-5"]])
def test_commands_that_only_tell_leave_nothing_behind_even_when_they_fail(words, tmp_path):
    done = subprocess.run([sys.executable, "-m", "platorep", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == (words[0] == "doctor"), done.stderr
    assert list(tmp_path.iterdir()) == []
