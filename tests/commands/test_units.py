"""The command `units` from its configuration to tables and figures, and the report that shows them."""

import hashlib
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

import platorep
from platorep.cli import schema
from platorep.commands import report
from platorep.commands import units as command
from platorep.commands.configuration import experiment
from platorep.commands.plot import figure_data
from platorep.core.errors import DataError, SpecError, StoreError, UnknownNameError
from platorep.core.samples import Samples
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter


schema.register()

N, WIDTH = 90, 14


@pytest.fixture
def no_figures(monkeypatch):
    """Only tables are made."""
    monkeypatch.setattr(command, "FIGURES", ())


@pytest.fixture
def configured(tmp_path):
    """Configurations over three vision models and a language model that share the units of their first layer."""
    models = {"v1": "vision", "v2": "vision", "v3": "vision", "l1": "language"}
    base = [
        f"+models.{name}={{modality: {kind}, source: imported, id: {name}, revision: '1', family: f}}"
        for name, kind in models.items()
    ]
    base += ["suite=synthetic", "~models.pixels", "~models.tfidf", "~models.vit_random", "~models.efficientnet_random"]
    base += ["dataset=synthetic", f"dataset.n={N}", f"root={tmp_path}", "units.permutations=39", "units.rotations=2"]

    def make(*words):
        with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
            return experiment(OmegaConf.to_container(compose("units", overrides=[*base, *words]), resolve=True))

    run = make()
    samples = Samples([f"s{i}" for i in range(N)], [[f"caption {'long ' * (i % 9)}{i}"] for i in range(N)])
    store = FeatureStore(run.root / "features")
    store.write_samples(run.dataset, samples)
    common = torch.randn(N, WIDTH, generator=torch.Generator().manual_seed(99))
    for seed, model in enumerate(run.models):
        chance = torch.Generator().manual_seed(seed)
        first = common + 0.4 * torch.randn(N, WIDTH, generator=chance)
        writer = FeatureWriter(store, run.extract_spec(model), samples, 50)
        for i, (start, stop) in enumerate(writer.bounds):
            own = torch.randn(stop - start, WIDTH, generator=chance)
            writer.write(i, {"a": first[start:stop], "b": own})
        writer.finish({"parameters": 1000 * (seed + 1)})
    return make


def test_a_run_leaves_tables_figures_and_what_plot_and_python_read(configured, tmp_path, capsys):
    run = configured()
    paths = command.units(run)
    shares, units = command.stored_units(run)
    assert {path.suffix for path in paths} == {".parquet", ".png", ".pdf", ".csv"}
    assert shares.whole("shared").groupby("y_model").size().to_dict() == {
        "v1": 2,
        "v2": 2,
        "v3": 2,
        "self": 3,
        "zoo": 3,
    }
    assert set(units.frame.x_model) == {"v1", "v2", "v3"}
    assert shares.whole("shared")["count"][0] == WIDTH
    assert (tmp_path / "figures" / "synthetic--synthetic--latest" / "units.png").is_file()
    assert figure_data(run, "unit_matrix").units.frame.equals(shares.frame)
    assert pd.read_parquet(paths[1]).shape == units.frame.shape
    printed = capsys.readouterr().out
    assert "v1        v2" in printed
    assert f"{WIDTH} (expected {WIDTH:.1f})" in printed


def test_parts_are_kept_and_made_again_when_asked_or_when_the_features_are_others(no_figures, configured, caplog):
    run = configured("only=[v1,v2]")
    path = command.units(run)[0]
    content, parts = hashlib.sha256(path.read_bytes()).hexdigest(), sorted((path.parent / "parts").glob("*.parquet"))
    times = [part.stat().st_mtime_ns for part in parts]
    command.units(run)
    assert [part.stat().st_mtime_ns for part in parts] == times
    assert hashlib.sha256(path.read_bytes()).hexdigest() == content
    parts[0].write_bytes(b"no parquet")
    with caplog.at_level(logging.WARNING):
        command.units(configured("only=[v1,v2]"))
    assert "It is computed again." in caplog.text
    assert hashlib.sha256(path.read_bytes()).hexdigest() == content
    command.units(configured("only=[v1,v2]", "overwrite=true"))
    assert all(part.stat().st_mtime_ns > time for part, time in zip(parts, times, strict=True))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == content


def test_shards_as_commands_give_the_bytes_of_one_run(no_figures, configured, caplog):
    caplog.set_level(logging.INFO)
    path = command.units(configured("only=[v1,v2]"))[0]
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    for part in path.parent.rglob("*.parquet"):
        part.unlink()
    assert command.units(configured("only=[v1,v2]", "shard=1/2")) == []
    assert "shard 1/2 is done; the tables are written by the last of the 2" in caplog.text
    assert command.units(configured("only=[v1,v2]", "shard=0/2"))[0] == path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == whole


def test_layers_pairs_and_partial_choose_what_is_compared(no_figures, configured):
    shares, _ = command.stored_units(_ran(configured("units.layers=last", "units.pairs=all", "only=[v1,l1]")))
    assert set(shares.frame.x_layer_name) == {"", "b"}
    assert set(shares.frame.x_modality) == {"language", "vision"}
    lengths = command.covariates(configured("units.partial=caption_length"))
    assert lengths.shape == (N, 2)
    assert lengths[:9, 1].tolist() == [2 + i for i in range(9)]
    partial, _ = command.stored_units(_ran(configured("units.partial=caption_length", "only=[v1,v2]")))
    assert set(partial.frame.partial) == {"caption_length"}


def test_the_mean_colour_of_a_picture_is_its_covariate(configured, monkeypatch):
    class Pairs:
        def picture(self, number):
            return Image.new("RGB", (2, 3), (number, 100, 7))

    monkeypatch.setattr("platorep.commands.extract.open_pairs", lambda run: Pairs())
    means = command.covariates(configured("units.partial=picture_mean"))
    np.testing.assert_array_equal(means, [[i, 100, 7] for i in range(N)])


def test_wrong_settings_and_missing_tables_are_named(configured):
    with pytest.raises(StoreError, match="no matched units at .* Run `platorep units` with the same settings first"):
        command.stored_units(configured())
    assert report._if_any(command.stored_units, configured()) is None
    with pytest.raises(DataError, match="units.pairs=within finds no two models to compare among l1"):
        command.units(configured("only=l1"))
    with pytest.raises(UnknownNameError, match="unknown value of units.partial 'picture'. Did you mean 'picture_mean'"):
        command.units(configured("units.partial=picture"))
    with pytest.raises(SpecError, match="units.layers is '7', but the model has 2 layers"):
        command.units(configured("units.layers='7'"))
    with pytest.raises(SpecError, match="protocol.pairs is 'some'|units.pairs is 'some'"):
        command.units(configured("units.pairs=some"))


def test_shares_of_all_runs_are_read_in_one_line(no_figures, configured, tmp_path):
    run = _ran(configured("only=[v1,v2]"))
    path = command.shares_path(run).relative_to(tmp_path).as_posix()
    record = {"task": "units", "overrides": ["only=[v1,v2]"], "results": [path], "provenance": {"time": "1"}}
    status = tmp_path / "runs" / "units" / "now" / "status.json"
    status.parent.mkdir(parents=True)
    status.write_text(pd.Series(record).to_json())
    table = platorep.load(tmp_path).units()
    assert set(table.measure) == {"matched", "significant", "shared", "excess", "universal"}
    assert set(table.only) == {"[v1,v2]"}
    status.write_text(pd.Series(record | {"results": []}).to_json())
    with pytest.raises(StoreError, match="no run under .* has left shares of units. Run `platorep units` first"):
        platorep.load(tmp_path).units()


def _ran(run):
    command.units(run)
    return run
