"""Where tables lie: another table for every change of what determines it."""

from __future__ import annotations

import pytest

from platorep.commands.configuration import experiment
from platorep.commands.options import Protocol
from platorep.commands.stored import code_of
from tests.e2e.runs import configuration


class Stored:
    """The part of a feature set that names it: a key, and a hash of the bytes that lie under it."""

    def __init__(self, content: str) -> None:
        self.key, self.content = "key", content


@pytest.fixture
def run_of(tmp_path):
    def build(content: str = "bytes", **changes):
        run = experiment(configuration(tmp_path, "suite=synthetic", "dataset=synthetic")).replace(**changes)
        run.__dict__["features"] = [Stored(content)]  # in place of those on disk
        return run

    return build


def test_the_same_settings_get_the_same_table(run_of):
    assert code_of(run_of(), metrics=["rsa"]) == code_of(run_of(), metrics=["rsa"])


def test_features_with_other_bytes_under_the_same_key_get_another_table(run_of):
    assert code_of(run_of("one")) != code_of(run_of("another"))


def test_settings_and_clamp_get_another_table(run_of):
    codes = {code_of(run_of()), code_of(run_of(), draws=5), code_of(run_of(protocol=Protocol(clip="none")))}
    assert len(codes) == 3
