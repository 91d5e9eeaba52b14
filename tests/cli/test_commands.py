"""A command is an entry of `COMMANDS`, a function of its name, and a file of settings."""

import pickle  # noqa: TID251 - as the launchers do it
from importlib import import_module

import pytest
from omegaconf import OmegaConf

from platorep.cli import tasks
from platorep.cli.commands import COMMANDS
from platorep.commands.pairs import config_dir


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_function_and_settings_with_a_help(name):
    assert getattr(import_module(f"platorep.commands.{name}"), name).__doc__
    settings = OmegaConf.load(config_dir() / f"{name}.yaml")
    assert settings.hydra.job.name == name
    assert settings.hydra.help.header.startswith(f"platorep {name}: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_launchers_can_send_a_task_by_its_name(name):
    task = getattr(tasks, name)
    assert pickle.loads(pickle.dumps(task)) is task  # noqa: S301
    assert (task.__module__, task.__qualname__) == ("platorep.cli.tasks", name)
