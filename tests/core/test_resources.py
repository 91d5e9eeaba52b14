"""How to compute: every number has its range, and reading it changes nothing."""

import pytest
import torch

from platorep.core.errors import SpecError, UnknownNameError
from platorep.core.resources import Resources, parse_bytes, parse_shard, use_threads


COMPUTE = {
    "device": "cpu", "threads": None, "tokens": None, "workers": None, "shard_rows": 256, "compile": False,
    "memory": "3GB",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [("3GB", 3 * 10**9), ("512 mb", 512 * 10**6), (1000, 1000), ("1.5GB", 1_500_000_000)]
)
def test_memory_is_read_in_decimal_units(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["much", "GB", "-1GB", "0", "infGB", "nan", "1e300TB", "0.1", None, True])
def test_memory_that_is_no_size_is_refused(text):
    with pytest.raises(SpecError, match=r"compute.memory is .*; expected a size such as 3GB"):
        parse_bytes(text)


def test_shard_is_read():
    assert parse_shard(None) == (0, 1)
    assert parse_shard("3/8") == (3, 8)


@pytest.mark.parametrize("text", ["8/8", "-1/2", "1", "a/b", "1/0", "0/1/2", "", "1.0/2"])
def test_shard_that_is_none_is_refused(text):
    with pytest.raises(SpecError, match="expected i/m with 0 <= i < m"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shard_rows": 0}, r"compute.shard_rows is 0; expected 1 or more\."),
        ({"shard_rows": -1}, r"compute.shard_rows is -1; expected 1 or more\."),
        ({"shard_rows": None}, "compute.shard_rows is None; expected 1 or more"),
        ({"shard_rows": 2.5}, "compute.shard_rows is 2.5; expected 1 or more"),
        ({"shard_rows": True}, "compute.shard_rows is True; expected 1 or more"),
        ({"shard_rows": 10**30}, "compute.shard_rows is 1000"),
        ({"tokens": 0}, "compute.tokens is 0; expected 1 or more, or null to find it from the device"),
        ({"tokens": -5}, "compute.tokens is -5; expected 1 or more"),
        ({"threads": 0}, "compute.threads is 0; expected 1 to 1024, or null for torch's choice"),
        ({"threads": 10**6}, "compute.threads is 1000000; expected 1 to 1024"),
        ({"workers": -1}, "compute.workers is -1; expected 0 to 1024, or null to find it from the cores"),
        ({"workers": 10**5}, "compute.workers is 100000; expected 0 to 1024"),
        ({"device": ""}, "compute.device is ''; expected auto, cpu"),
        ({"compile": "yes"}, "compute.compile is 'yes'; expected true or false"),
        ({"memory": "infGB"}, "compute.memory is 'infGB'; expected a size"),
    ],
)
def test_a_value_outside_its_range_is_refused_as_it_is_written_on_the_command_line(change, message):
    with pytest.raises(SpecError, match=message):
        Resources.from_config({**COMPUTE, **change})


@pytest.mark.parametrize("change", [{"workers": 0}, {"tokens": 1}, {"threads": 1}, {"shard_rows": 1}, {"memory": 1}])
def test_the_least_value_is_accepted(change):
    assert getattr(Resources.from_config({**COMPUTE, **change}), *change) == next(iter(change.values()))


def test_settings_that_do_not_exist_and_those_that_are_missing_are_named():
    with pytest.raises(UnknownNameError, match="unknown setting of compute 'shard_row'. Did you mean 'shard_rows'"):
        Resources.from_config({**COMPUTE, "shard_row": 1})
    with pytest.raises(SpecError, match="compute lacks threads, memory"):
        Resources.from_config({name: COMPUTE[name] for name in COMPUTE if name not in ("threads", "memory")})


def test_a_share_outside_the_shares_is_refused_without_words_too():
    with pytest.raises(SpecError, match="shard's first number is 2; expected 0 to 1"):
        Resources(**{**COMPUTE, "memory": 1}, shard=(2, 2))


def test_reading_resources_leaves_the_threads_alone_and_using_them_does_not():
    before = torch.get_num_threads()
    other = before % 2 + 1
    try:
        read = Resources.from_config({**COMPUTE, "threads": other})
        assert torch.get_num_threads() == before
        use_threads(None)
        assert torch.get_num_threads() == before
        use_threads(read.threads)
        assert torch.get_num_threads() == other
    finally:
        torch.set_num_threads(before)
