"""Ranges of the numbers that a user sets."""

from __future__ import annotations

import math
import sys

from platorep.core.errors import SpecError


LARGEST_SEED = 2**63 - 1
"""Tables keep seeds as 64-bit integers."""


def check_range(name: str, value: float | None, least: float, most: float = math.inf, otherwise: str = "") -> None:
    """Checks that a number lies in [least, most]; values that are not numbers pass.

    Args:
        name: the setting, as the user writes it.
        value: the value of the setting.
        least: the smallest value that is accepted.
        most: the largest.
        otherwise: other accepted values, such as "null for all".

    Raises:
        SpecError: the number lies outside.
    """
    if isinstance(value, (int, float)) and not least <= value <= most:
        expected = f"{least:g} or more" if most >= sys.float_info.max else f"{least:g} to {most:g}"
        raise SpecError(f"{name} is {value}; expected {expected}{f', or {otherwise}' if otherwise else ''}.")


def check_seed(name: str, seed: int) -> None:
    """Checks that every generator and table accepts a seed.

    Raises:
        SpecError: it is negative, or needs more than 63 bits.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise SpecError(f"{name} is {seed}; expected a whole number from 0 to 2**63 - 1.")
