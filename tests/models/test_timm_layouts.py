"""What is asked of timm before a run is kept in the cache, so that a run over stored features does not import timm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from platorep.core.errors import DiskError, UnknownNameError
from platorep.models import timm_models
from platorep.models.sources import source_of
from tests.small_models import picture


ASKED = """
import sys, torch
from tests.small_models import picture
from platorep.models.sources import source_of
spec = picture(sys.argv[1])
print(source_of(spec).has_class_token(spec), source_of(spec).version(spec), "timm" in sys.modules)
"""


def asked(name):
    run = subprocess.run([sys.executable, "-c", ASKED, name], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_a_second_process_reads_the_class_token_from_the_cache_without_timm(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path))
    for name, has in (("test_vit", "True"), ("test_resnet", "False")):
        first, second = asked(name), asked(name)
        assert first[0] == second[0] == has
        assert first[1] == second[1]
        assert (first[2], second[2]) == ("True", "False")


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(monkeypatch):
    def refuse(*_):
        raise DiskError("the cache cannot be written")

    monkeypatch.setattr(timm_models, "derived", refuse)
    assert source_of(picture("test_vit")).has_class_token(picture("test_vit"))
    assert not source_of(picture("test_resnet")).has_class_token(picture("test_resnet"))


def test_an_architecture_that_timm_lacks_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path))
    spec = picture("test_wit")
    for _ in range(2):
        with pytest.raises(UnknownNameError, match="timm architecture 'test_wit'"):
            source_of(spec).has_class_token(spec)
    assert not list(tmp_path.rglob("layout.json"))
