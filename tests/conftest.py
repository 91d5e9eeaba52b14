"""What holds for every test: its examples, what the garbage collector looks at, and how the libraries log."""

import gc
import logging
import os
import sys

import pytest
from hypothesis import settings


# the same examples on every CI run, new ones on every other
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


_frozen = 0
"""Number of modules at the last time when `imports_out_of_the_garbage_collector` found many new ones."""


@pytest.fixture(autouse=True)
def imports_out_of_the_garbage_collector():
    """Takes imported modules out of later collections.

    A full collection walks a million objects of torch, timm and transformers in a quarter of a second, and extraction
    makes one after each model.
    """
    global _frozen
    if len(sys.modules) > _frozen + 50:
        gc.collect()
        gc.freeze()
        _frozen = len(sys.modules)


@pytest.fixture(autouse=True)
def logging_as_before():
    """Undoes what a test's command does to logging: Hydra sets the level and handlers of the whole process."""
    loggers = [logging.getLogger(), logging.getLogger("platorep")]
    before = [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        left = [handler for handler in logger.handlers if handler not in handlers]
        logger.handlers[:] = handlers
        for handler in left:
            handler.close()
        logger.setLevel(level)
        logger.propagate = propagate
