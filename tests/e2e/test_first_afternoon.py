"""One person's afternoon: the script runs as it stands, and leaves what it promises."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import platorep


SCRIPT = Path(__file__).parents[2] / "scripts" / "first_afternoon.sh"
MODELS = {"lite0", "pixels", "mine", "histograms"}

pytestmark = [pytest.mark.slow, pytest.mark.packaged]


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory):
    folder = Path(os.environ.get("PLATOREP_AFTERNOON") or tmp_path_factory.mktemp("afternoon"))
    finished = subprocess.run(["bash", SCRIPT, folder], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder, finished.stdout, platorep.load(folder / "outputs")


def test_the_own_network_has_learned_and_its_features_are_its_own(afternoon):
    folder, printed, outputs = afternoon
    share = int(printed.partition("the network names ")[2].partition("%")[0])
    assert share > 60  # of eight colours
    x, ids = outputs.features("histograms", layer="levels4", dataset="folder")
    with np.load(folder / "histograms.npz") as saved:
        assert np.array_equal(x, saved["levels4"].astype(np.float32))
        assert ids == saved["ids"].tolist()


def test_the_table_of_all_twelve_jobs_is_one_line(afternoon):
    scores = afternoon[2].scores()
    swept = scores[scores.filter(like="metric.").notna().any(axis=1)]
    jobs = swept.groupby(["metric", "select"]).size()
    assert len(jobs) == 12
    assert set(jobs) == {len(MODELS) * 2}  # two language models
    assert {id.partition("(")[0] for id, _ in jobs.index} == {"mutual_knn", "cknna", "jaccard_knn"}
    assert {select for _, select in jobs.index} == {"max", "heldout"}
    assert set(swept.x_model) | set(swept.y_model) == {"tfidf", "minilm_l6", *MODELS}
    own = swept[(swept.metric == "mutual_knn(k=10,similarity=cosine)") & (swept["select"] == "max")]
    by_pair = {frozenset(pair): score for *pair, score in own[["x_model", "y_model", "score"]].itertuples(index=False)}
    assert by_pair[frozenset({"minilm_l6", "mine"})] > 3 * 10 / 119  # far above chance


def test_every_job_and_command_is_listed_with_its_words(afternoon):
    runs = afternoon[2].runs
    assert set(runs.status) == {"ok"}
    assert runs.command.value_counts().to_dict() == {"align": 12, "extract": 1, "run": 1, "plot": 1, "report": 1}


def test_the_figures_fit_one_column_and_the_page_names_every_model(afternoon):
    folder, _, _ = afternoon
    (figures,) = (folder / "outputs/figures").glob("*--latest")
    for name in ("matrix", "significance"):
        with Image.open(figures / f"{name}.png") as picture:
            assert picture.width / picture.info["dpi"][0] == pytest.approx(3.4, abs=0.02)
        assert (figures / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (figures / f"{name}.csv").read_text().count("\n") > 4
    (page,) = (folder / "outputs/report").glob("*--latest.html")
    text = page.read_text(encoding="utf-8")
    assert all(name in text for name in MODELS)
