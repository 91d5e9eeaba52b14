"""The whole experiment on small input, through the command line's own code."""

import json

import pandas as pd
import pytest

from platorep import cli
from platorep.commands.configuration import experiment
from platorep.commands.plot import draw_figures
from platorep.core.errors import StoreError
from platorep.results.tables import AlignmentTable
from tests.e2e.runs import configuration, contents, run


SMALL = ("suite=synthetic", "dataset=synthetic", "dataset.n=64", "compute.device=cpu", "compute.workers=0")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    cfg = configuration(root, *SMALL)
    run(cfg)
    return root, cfg


def parts(root):
    return [p for p in (root / "alignment").glob("*/*.parquet") if not p.name.endswith(".samples.parquet")]


def test_a_run_ends_with_figures_and_tables(finished):
    root, _ = finished
    names = {path.name for path in (root / "figures").rglob("*.*")}
    assert {"matrix.png", "matrix.pdf", "layers.png", "significance.png"} <= names
    assert "fig3.png" not in names  # no model of this suite has bits per byte
    table = AlignmentTable.load(parts(root))
    assert set(table.frame.x_model) == {"tfidf"}
    assert set(table.frame.y_model) == {"pixels", "vit_random", "efficientnet_random"}
    assert table.frame.score.between(0, 1).all()


def test_a_second_run_changes_no_byte(finished):
    root, cfg = finished
    before = contents(root)
    run(cfg)
    assert contents(root) == before


def test_the_order_of_models_changes_no_score(finished, tmp_path):
    root, cfg = finished
    run({**cfg, "root": str(tmp_path), "models": dict(reversed(cfg["models"].items()))})
    by = ["metric", "x_model", "x_layer", "y_model", "y_layer"]
    one, two = (AlignmentTable.load(parts(r)).frame.sort_values(by, ignore_index=True) for r in (root, tmp_path))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_failing_model_is_reported_and_the_others_are_done(tmp_path):
    command = ["run", "suite=synthetic", "dataset=synthetic", "dataset.n=32", f"root={tmp_path}", "compute.workers=0"]
    command.append("+models.broken={modality: vision, source: timm, id: no_such_net, weights: random}")
    with pytest.raises(SystemExit) as stopped:
        cli.app(command)
    assert stopped.value.code == 1
    assert (tmp_path / "figures" / "synthetic--synthetic--latest" / "matrix.png").is_file()
    (status,) = (tmp_path / "runs").rglob("status.json")
    said = json.loads(status.read_text())
    assert said["status"] == "failed"
    assert "1 of the models or tasks failed; the others are done" in said["error"]
    assert "broken: UnknownNameError: unknown timm architecture 'no_such_net'" in said["error"]
    (written,) = status.parent.glob("*.log")
    assert "unknown timm architecture 'no_such_net'" in written.read_text()


def test_figures_that_the_tables_do_not_hold_are_named_and_none_at_all_is_an_error(finished):
    _, cfg = finished
    with pytest.raises(StoreError, match="none of the figures fig3 can be drawn"):
        draw_figures(experiment({**cfg, "figure": {"fig3": {}}}))


def test_an_unknown_model_to_remove_is_refused(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        cli.app(["run", "suite=synthetic", "dataset=synthetic", f"root={tmp_path}", "~models.pixel"])
    assert "'models.pixel' does not exist" in str(stopped.value.code)  # a text: printed, and exit status 1
