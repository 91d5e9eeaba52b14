"""The command `stitch` from its configuration to table and figure, on small pictures, and what it refuses."""

from __future__ import annotations

import pytest

from platorep.commands.reproduce import reproduce
from platorep.commands.stitch import stitch, stitching_path, stitching_table
from platorep.core.errors import SpecError, UnknownNameError
from tests.training.small_suite import configured
from tests.training.small_suite import folder as folder


RECEIVERS = ["mlp_128_seed0", "mlp_128_seed1"]
SUITE = [*RECEIVERS, "mlp_128_half"]
SMALL = (
    f"stitching.receivers=[{','.join(RECEIVERS)}]",
    "stitching.pictures=200",
    "stitching.epochs=1",
    "dataset.n=400",
)


def small(folder, *words, task="stitch", only=SUITE):
    return configured(folder, *SMALL, *words, task=task, only=only)


def test_the_command_trains_stitches_and_draws(folder, capsys):
    run = small(folder)
    paths = stitch(run)
    assert paths[0] == stitching_path(run)
    assert all(path.is_file() for path in paths)
    shown = capsys.readouterr().out
    for sender in ("another seed", "random", "unrelated", "noise", "pixels", "shuffled", "probe", "self"):
        assert sender in shown, sender
    frame = stitching_table(run).frame
    assert set(frame.control) == {"", "random", "unrelated", "noise", "pixels", "shuffled", "probe", "self"}
    assert set(frame[frame.control == ""].x_model) == set(RECEIVERS)
    assert set(frame[frame.control == "unrelated"].x_model) == {"mlp_128_half"}


def test_a_second_run_reads_the_table(folder, monkeypatch):
    run = small(folder)
    stitching_table(run)
    monkeypatch.setattr("platorep.commands.stitch._measured", lambda experiment: pytest.fail("measured again"))
    stitching_table(run)
    assert stitching_path(small(folder, "stitching.epochs=2")) != stitching_path(run)


def test_the_recipe_draws_the_same_table(folder):
    out, table = reproduce(small(folder, "reproduce=stitching_offline", task="reproduce"))
    assert (out / "stitching_offline.png").is_file()
    assert table.is_file()


def test_what_cannot_be_stitched_is_refused(folder):
    with pytest.raises(UnknownNameError, match="network in stitching.receivers 'mlp_128_half'"):
        stitch(small(folder, "stitching.receivers=[mlp_128_half]"))
    with pytest.raises(SpecError, match="no two networks of the suite differ in their seed alone"):
        stitch(small(folder, f"stitching.receivers=[{RECEIVERS[0]}]"))
