"""How outlying values of features are clamped before they are scored."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal

from platorep.core.errors import SpecError


ClipRule = Literal["exact", "approximate", "none"]


@dataclass(frozen=True)
class Clamp:
    """A rule for the threshold at which |features| are clamped. One threshold holds for all layers of a model.

    Args:
        rule: "exact" takes the quantile of all values. "approximate" averages the quantiles of the samples, as the
            PRH's released command line does by default. "none" does not clamp.
        quantile: of |features|, in (0, 1).

    Raises:
        SpecError: another rule, or a quantile outside (0, 1).
    """

    rule: ClipRule = "exact"
    quantile: float = 0.95

    def __post_init__(self) -> None:
        if self.rule not in ("exact", "approximate", "none"):
            raise SpecError(f"the clamp's rule is {self.rule!r}; expected exact, approximate or none.")
        is_number = isinstance(self.quantile, Real) and not isinstance(self.quantile, bool)
        if not is_number or not 0 < self.quantile < 1:
            raise SpecError(
                f"the clamp's quantile is {self.quantile!r}; expected a number between 0 and 1, such as 0.95."
            )

    @property
    def id(self) -> str:
        """The rule as written in tables, such as "exact(0.95)" or "none"."""
        return "none" if self.rule == "none" else f"{self.rule}({self.quantile:g})"


EXACT = Clamp()
"""The clamp of the paper and of the command line: at the 0.95 quantile of all values."""

NONE = Clamp("none")
"""Features as they are."""
