"""The command `gallery` from its configuration to a table and a figure."""

import hashlib
import logging

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.commands import gallery as galleries
from platorep.commands.configuration import experiment
from platorep.commands.plot import figure_data
from platorep.core.errors import SpecError, StoreError
from platorep.core.samples import Samples
from platorep.core.store import FeatureStore
from platorep.core.writer import FeatureWriter


schema.register()

N = 90


@pytest.fixture
def configured(tmp_path):
    """Configurations over two language and two vision models whose features are stored."""
    models = {"l1": "language", "l2": "language", "v1": "vision", "v2": "vision"}
    base = [
        f"+models.{name}={{modality: {kind}, source: imported, id: {name}, revision: '1', family: f}}"
        for name, kind in models.items()
    ]
    base += ["suite=synthetic", "~models.pixels", "~models.tfidf", "~models.vit_random", "~models.efficientnet_random"]
    base += ["dataset=synthetic", f"dataset.n={N}", f"root={tmp_path}", "gallery.sizes=[40,90]", "gallery.queries=32"]

    def make(*words):
        with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
            return experiment(OmegaConf.to_container(compose("gallery", overrides=[*base, *words]), resolve=True))

    run = make()
    latent = torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
    samples = Samples([f"s{i}" for i in range(N)], [[f"caption {i}"] for i in range(N)])
    store, dataset = FeatureStore(run.root / "features"), run.dataset
    store.write_samples(dataset, samples)
    for seed, model in enumerate(run.models):
        own = torch.Generator().manual_seed(seed)
        x = latent @ torch.randn(5, 12, generator=own) + torch.randn(N, 12, generator=own)
        writer = FeatureWriter(store, run.extract_spec(model), samples, 50)
        for i, (start, stop) in enumerate(writer.bounds):
            writer.write(i, {"a": x[start:stop], "b": x[start:stop].square()})
        writer.finish({})
    return make


def test_a_run_leaves_table_and_figure_and_plot_finds_them(configured, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run = configured("metric.mutual_knn.k=[1,5]")
    path = galleries.gallery(run)
    table = galleries.stored_galleries(run)
    assert galleries.gallery_path(run) == path
    assert len(table.frame) == 4 * 4 * 2 * 3  # pairs of models, of layers, sizes, rules for k
    assert set(table.frame.k[table.frame.share.isna()]) == {1, 5}
    assert (tmp_path / "figures" / "synthetic--synthetic--latest" / "gallery.png").is_file()
    assert str(path) in caplog.text
    assert figure_data(run, "gallery").galleries.frame.equals(table.frame)


def test_shards_as_commands_give_the_bytes_of_one_run(configured, caplog):
    caplog.set_level(logging.INFO)
    path = galleries.gallery(configured())
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    assert galleries.gallery(configured("shard=1/2")) is None
    assert "shard 1/2 is done; the table is written by the last of the 2" in caplog.text
    assert galleries.gallery(configured("shard=0/2")) == path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == whole


def test_a_single_gallery_has_a_table_and_no_figure(configured, tmp_path):
    assert galleries.gallery(configured("gallery.sizes=[90]")).is_file()
    assert not (tmp_path / "figures").exists()


def test_models_of_one_modality_meet_once(configured):
    galleries.gallery(configured("protocol.pairs=within"))
    pairs = (
        galleries.stored_galleries(configured("protocol.pairs=within")).frame[["x_model", "y_model"]].drop_duplicates()
    )
    assert pairs.to_numpy().tolist() == [["l1", "l2"], ["v1", "v2"]]


def test_other_metrics_and_two_similarities_are_refused_and_a_missing_table_named(configured):
    with pytest.raises(SpecError, match=r"a gallery is scored by mutual_knn; got cka\(.*\). Set metric=mutual_knn."):
        galleries.gallery(configured("metric=[mutual_knn,cka]"))
    with pytest.raises(SpecError, match="searched by one similarity; got cosine and euclidean"):
        galleries.gallery(configured("+metric.mutual_knn.similarity=[cosine,euclidean]"))
    with pytest.raises(
        StoreError, match="no scores in growing galleries at .* Run `platorep gallery` with the same settings first"
    ):
        galleries.stored_galleries(configured())
