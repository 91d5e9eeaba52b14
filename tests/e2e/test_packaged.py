"""The main job on real pretrained models and real captioned pictures, from configuration to figure."""

import pytest

from platorep.commands.configuration import experiment
from tests.e2e.runs import configuration, run


MODELS = "smollm2_135m,minilm_l6,glove_50d,lite0,lite0_random,pixels"


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
    for language in ("smollm2_135m", "minilm_l6", "glove_50d"):
        assert scores.loc[language, "lite0"] > 1.5 * scores.loc[language, ["lite0_random", "pixels"]].max()
    assert scores["lite0"].idxmax() == "minilm_l6"
    figures = {path.name for path in (tmp_path / "figures").rglob("*.png")}
    assert {"fig3.png", "matrix.png", "layers.png", "significance.png"} <= figures
