"""Numbers outside their range are refused where they are set, in the words of the command line."""

import pytest

from platorep.align import Null
from platorep.brains.similarity import Settings
from platorep.core.errors import SpecError
from platorep.core.ranges import LARGEST_SEED, check_range
from platorep.data.summaries import Decoding


SEEDED = {"statistics.seed": (Null, Settings), "captions.seed": (Decoding,)}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in SEEDED.items() for kind in kinds])
def test_seeds_that_no_generator_or_table_takes_are_refused(name, kind):
    """They once ended in tracebacks of numpy or pandas, minutes later."""
    assert (kind(seed=0).seed, kind(seed=LARGEST_SEED).seed) == (0, 2**63 - 1)
    for seed in (-1, 2**63, 99999999999999999999999):
        with pytest.raises(SpecError, match=f"{name} is {seed}; expected a whole number from 0 to"):
            kind(seed=seed)


def test_a_negative_number_of_relabellings_is_refused():
    assert Null(permutations=0).permutations == 0
    with pytest.raises(SpecError, match="statistics.permutations is -1; expected 0 or more"):
        Null(permutations=-1)


def test_bounds_belong_to_the_range_and_no_number_passes():
    for value in (1, 2, None):
        check_range("n", value, 1, 2)
    for value in (0, 2.5, float("inf"), float("nan")):
        with pytest.raises(SpecError, match=f"n is {value}; expected 1 to 2, or null for all"):
            check_range("n", value, 1, 2, otherwise="null for all")
