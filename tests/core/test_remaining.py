"""The remaining time of a run, on a clock that a test moves."""

import pytest

from platorep.core.remaining import Remaining


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_estimate_is_of_all_stages_and_not_of_the_present_part(clock):
    run = Remaining({"extract": {"small": 1.0, "large": 9.0}, "align": {"": 20.0}}, clock)
    assert run.seconds() is None
    with run.part("extract", "small") as report:
        clock.now = 3.0
        report(0.5)
        assert run.seconds() == pytest.approx(6 * (0.5 + 9 + 20))  # half of an expected second took 3
        clock.now = 4.0
    assert run.seconds() == pytest.approx(4 * (9 + 20))


def test_a_stage_that_has_begun_is_scaled_by_its_own_time(clock):
    run = Remaining({"extract": {"": 10.0}, "align": {"": 10.0}, "draw": {"": 10.0}}, clock)
    with run.part("extract", ""):
        clock.now = 10.0
    with run.part("align", "") as report:
        clock.now = 60.0
        report(0.5)
        assert run.seconds() == pytest.approx(5 * 10 + 10 * 60 / 15)
        clock.now = 110.0
    with run.part("draw", ""):
        clock.now = 111.0
    assert run.seconds() == 0.0


def test_expectations_are_corrected_and_work_that_nobody_expected_counts_for_nothing(clock):
    run = Remaining({"extract": {"a": 5.0, "stored": 5.0}}, clock)
    run.expect("extract", {"a": 5.0})
    with run.part("looking", ""):
        clock.now = 50.0
    assert run.seconds() is None
    with run.part("extract", "a"):
        clock.now = 52.0
    run.expect("align", {"": 5.0})
    assert run.seconds() == pytest.approx(2.0)


def test_a_part_that_fails_is_over(clock):
    run = Remaining({"extract": {"a": 1.0, "b": 1.0}}, clock)

    def fail():
        with run.part("extract", "a"):
            clock.now = 2.0
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert run.seconds() == pytest.approx(2.0)
