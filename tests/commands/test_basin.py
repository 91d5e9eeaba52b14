"""The command `basin` from its configuration to table and figure, on small pictures, and what it refuses."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands.basin import basin, basin_path, basin_table
from platorep.commands.configuration import experiment
from platorep.commands.reproduce import reproduce
from platorep.core.errors import SpecError, UnknownNameError
from tests.training.small_suite import configured
from tests.training.small_suite import folder as folder


KEPT = ["mlp_32_seed0", "mlp_32_seed1"]


def test_the_command_trains_measures_and_draws(folder, capsys):
    run = configured(folder)
    paths = basin(run)
    assert paths[0] == basin_path(run)
    assert all(path.is_file() for path in paths)
    assert {path.suffix for path in paths[1:]} == {".png", ".pdf", ".csv"}
    shown = capsys.readouterr().out
    assert "mlp-32" in shown
    assert "fork after 2" in shown
    frame = basin_table(run).frame
    kinds = set(zip(frame.relation, frame.shared, frame.epoch, strict=True))
    assert kinds == {("seeds", 0, 3), ("seeds", 0, 1), ("copy", 0, 3), ("fork", 0, 3), ("fork", 2, 3), ("halves", 0, 3)}
    assert (folder / "cache" / "trained").is_dir()


def test_a_second_run_reads_the_table_and_other_settings_have_another(folder, monkeypatch):
    run = configured(folder)
    basin_table(run)
    monkeypatch.setattr("platorep.commands.basin._measured", lambda experiment: pytest.fail("measured again"))
    basin_table(run)
    others = [configured(folder, word) for word in ("basin.points=5", "statistics.seed=1", "basin.forks=[0]")]
    assert len({basin_path(run), *map(basin_path, others)}) == 4
    assert basin_path(configured(folder, "compute.threads=2")) == basin_path(run)


def test_the_recipe_draws_the_same_table(folder):
    words = [f"models.{name}.training.rate=0.002" for name in KEPT]
    run = configured(folder, "reproduce=basin_offline", "basin.forked=mlp_32_seed1", *words, task="reproduce")
    out, table = reproduce(run)
    assert (out / "basin_offline.png").is_file()
    assert table.is_file()
    assert set(run.figures) == {"basin"}


@pytest.mark.parametrize(
    ("words", "only", "error", "message"),
    [
        (["dataset.split=train"], KEPT, SpecError, "holds the pictures that the networks are trained on"),
        ([], KEPT[:1], SpecError, "no two networks of the suite differ in their seed alone"),
        (["basin.forked=mlp_32_sed0"], KEPT, UnknownNameError, "network in basin.forked 'mlp_32_sed0'"),
        (["basin.forks=[3]"], KEPT, SpecError, r"basin.forks has 3; mlp_32_seed0 is trained for 3 epochs"),
        (["models.mlp_32_seed1.training.side=12"], KEPT, SpecError, "learn from different pictures"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder, words, only, error, message):
    with pytest.raises(error, match=message):
        basin(configured(folder, *words, only=only))


def test_a_suite_without_trained_networks_is_refused(folder):
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        cfg = OmegaConf.to_container(compose("basin", overrides=["suite=synthetic"]), resolve=True)
    with pytest.raises(SpecError, match=r"no network of the suite is trained here \(source: trained\)"):
        basin(experiment(cfg))
