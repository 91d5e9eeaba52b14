"""Results are read back: runs with overrides, scores, features, samples; each configuration has its own folder."""

import io

import numpy as np
import pandas as pd
import pytest

import platorep
from platorep import cli
from platorep.core.errors import StoreError, UnknownNameError
from platorep.results.text import scores_text


SMALL = ["suite=synthetic", "dataset=synthetic", "dataset.n=40", "compute.workers=0", "statistics.permutations=19"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A run, a sweep of two metrics by two protocols over its features, and a run that failed."""
    folder = tmp_path_factory.mktemp("outputs")
    words = [*SMALL, f"root={folder}", "only=[tfidf,pixels]"]
    cli.app(["run", *words], standalone_mode=False)
    sweep = ["align", "-m", *words, "metric=mutual_knn,cka", "protocol=prh,last_layer"]
    cli.app(sweep, standalone_mode=False)
    with pytest.raises(SystemExit):
        cli.app(["align", *words, "protocol.pairs=both"], standalone_mode=False)
    return folder


@pytest.fixture
def outputs(root):
    return platorep.load(root)


def test_every_run_has_a_row_with_its_status_and_overrides(outputs):
    runs = outputs.runs
    assert runs.command.tolist() == ["run", "align", "align", "align", "align", "align"]
    assert runs.status.tolist() == ["ok"] * 5 + ["failed"]
    assert runs.overrides.str.contains("dataset.n=40").all()
    assert "5 runs" not in repr(outputs)
    assert "6 runs, 2 extractions" in repr(outputs)
    assert "<table" in outputs._repr_html_()


def test_scores_of_all_jobs_come_in_one_line_with_their_overrides_as_columns(outputs):
    scores = outputs.scores()
    assert len(scores) == 4  # the run's own result is the sweep's first
    assert set(zip(scores["metric"].str.partition("(")[0], scores["protocol"], strict=True)) == {
        (metric, protocol) for metric in ("mutual_knn", "cka") for protocol in ("prh", "last_layer")
    }
    assert set(outputs.scores(metric="cka").metric.str.partition("(")[0]) == {"cka"}
    assert set(outputs.scores(protocol="last")["select"]) == {"last"}
    assert outputs.scores(dataset="elsewhere").empty


def test_features_come_with_the_ids_of_their_rows(outputs):
    x, ids = outputs.features("pixels")
    assert x.shape[0] == len(ids) == 40
    assert x.dtype == np.float32
    assert outputs.samples().id.tolist() == ids
    with pytest.raises(UnknownNameError, match="unknown stored model 'pixel'. Did you mean 'pixels'"):
        outputs.features("pixel")


def test_a_root_that_is_none_and_one_without_scores_are_said(tmp_path):
    with pytest.raises(StoreError, match="is not a folder"):
        platorep.load(tmp_path / "none")
    with pytest.raises(StoreError, match="no run under .* has left scores"):
        platorep.load(tmp_path).scores()
    with pytest.raises(StoreError, match="0 stored datasets fit"):
        platorep.load(tmp_path).samples()


def test_the_table_is_printed_in_every_format(root, outputs, capsys):
    for words in (["--format", "csv"], ["--format", "md"], ["--format", "latex"], ["--metric", "cka"]):
        cli.app(["table", "--root", str(root), *words], standalone_mode=False)
    printed = capsys.readouterr().out
    scores = outputs.scores()
    read = pd.read_csv(io.StringIO(scores_text(scores, "csv")))
    np.testing.assert_allclose(read.score, scores.score)
    assert "| dataset | n | metric |" in printed
    assert r"\begin{tabular}" in printed
    assert r"tfidf & pixels" in printed
    assert r"mutual\_knn" in printed


def test_two_configurations_never_write_to_one_place(root):
    words = [*SMALL, f"root={root}", "only=[tfidf,pixels]", "figure=matrix"]
    before = {path.name for path in (root / "figures").iterdir()}
    for more in (["metric=cka"], ["protocol=last_layer"]):
        cli.app(["plot", *words, *more], standalone_mode=False)
    after = {path.name for path in (root / "figures").iterdir()}
    assert len(after - before) == 2
    latest = (root / "figures" / "synthetic--synthetic--latest").resolve()
    assert latest.name in after - before


def test_runs_are_listed(root, capsys):
    cli.app(["ls", "runs", f"root={root}"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "failed" in printed
    assert "protocol=last_layer" in printed
