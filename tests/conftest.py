"""Hypothesis draws the same examples on every CI run, and new ones on every other."""

import os

from hypothesis import settings


settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
