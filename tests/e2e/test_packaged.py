"""The main job on real pretrained models and real captioned pictures, from configuration to figure."""

import pytest

from platorep.commands.configuration import experiment
from platorep.commands.pairs import with_pairs_at_hand
from platorep.commands.run import run as run_command
from tests.e2e.runs import configuration, run


MODELS = "minilm_l6,glove_50d,lite0,lite0_random,pixels"


@pytest.mark.packaged
def test_trained_models_align_above_untrained_ones_and_pixels_and_all_above_chance(tmp_path):
    words = (
        "suite=offline",
        "dataset=stamps",
        "dataset.n=240",
        f'only="{MODELS}"',
        "compute.workers=0",
        "compute.device=cpu",
    )
    cfg = configuration(tmp_path, *words, "statistics.permutations=99")
    run(cfg)
    completed = experiment(cfg)
    scores = completed.alignment.matrix()
    assert scores.to_numpy().min() > 10 / 239
    for language in ("minilm_l6", "glove_50d"):
        assert scores.loc[language, "lite0"] > 1.5 * scores.loc[language, ["lite0_random", "pixels"]].max()
    assert scores["lite0"].idxmax() == "minilm_l6"
    figures = {path.name for path in (tmp_path / "figures").rglob("*.png")}
    assert {"matrix.png", "layers.png", "significance.png"} <= figures


@pytest.mark.packaged
def test_a_machine_without_apt_and_without_the_stamps_page_ends_with_figures(tmp_path, monkeypatch):
    """An empty cache, no apt-get on PATH, the release's address closed: pip alone brings the pairs."""
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    words = ("suite=synthetic", 'only="tfidf,pixels"', "dataset=stamps", "dataset.n=64", "figure=matrix")
    cfg = configuration(
        tmp_path,
        *words,
        "compute.workers=0",
        "compute.device=cpu",
        "dataset.assets.0.mirrors.0.id=https://127.0.0.1:1/stamps.tar.gz",
    )
    settled = with_pairs_at_hand(experiment(cfg), fetching=True)
    run_command(settled)
    assert (tmp_path / "figures/synthetic--emoji--latest/matrix.png").is_file()
    assert with_pairs_at_hand(experiment(cfg), fetching=False) == settled  # what align and plot take
