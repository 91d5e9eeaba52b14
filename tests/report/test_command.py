"""`platorep report` from what the other commands left on disk."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from platorep import cli
from platorep.commands.align import align_models
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract_models
from platorep.commands.report import whole_figures
from platorep.core.errors import DiskError
from platorep.figures.style import save
from tests.e2e.runs import configuration


def test_the_command_writes_the_page_of_a_run(tmp_path, capsys):
    words = [
        "suite=synthetic",
        "dataset=synthetic",
        "dataset.n=40",
        "only='tfidf,pixels'",
        f"root={tmp_path}",
        "statistics.permutations=19",
    ]
    cfg = configuration(
        tmp_path, *[word for word in words if not word.startswith("root")], "compute.device=cpu", "compute.workers=0"
    )
    assert extract_models(experiment(cfg)).failures == []
    with pytest.raises(SystemExit) as stopped:
        cli.app(["report", *words])
    assert stopped.value.code == 1
    assert "Run `platorep align` with the same settings first" in capsys.readouterr().err

    align_models(experiment(cfg))
    with pytest.raises(SystemExit) as stopped:
        cli.app(["report", *words])
    assert stopped.value.code == 0
    page = (tmp_path / "report" / "synthetic--synthetic--latest.html").read_text()
    assert "tfidf × pixels" in page
    assert "Scores are not tested" not in page
    assert "None drawn yet" in page
    assert "platorep align suite=synthetic dataset=synthetic dataset.n=40" in page


@pytest.fixture
def drawn(tmp_path):
    """Three figures with other contents."""
    for number, name in enumerate(("curve", "fig3", "matrix")):
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.1, str(number))
        save(figure, tmp_path / name)
    return tmp_path


def test_whole_figures_are_taken_by_name(drawn):
    assert list(whole_figures(drawn)) == ["curve", "fig3", "matrix"]


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_figure_with_a_flipped_byte_is_left_out_and_named(drawn, caplog, share):
    raw = bytearray((drawn / "fig3.png").read_bytes())
    raw[int(share * len(raw))] ^= 4
    (drawn / "fig3.png").write_bytes(raw)
    assert list(whole_figures(drawn)) == ["curve", "matrix"]
    assert "fig3.png is damaged" in caplog.text


def test_a_copy_of_another_figure_is_left_out_and_named(drawn, caplog):
    (drawn / "fig3.png").write_bytes((drawn / "matrix.png").read_bytes())
    assert list(whole_figures(drawn)) == ["curve", "matrix"]
    assert "fig3.png holds the figure matrix" in caplog.text


def test_a_folder_in_the_place_of_a_figure_ends_the_report_and_is_named(drawn):
    """A page without the figure would take the place of the whole one."""
    (drawn / "fig3.png").unlink()
    (drawn / "fig3.png").mkdir()
    with pytest.raises(DiskError, match=r"fig3\.png: it is a folder, where a file is expected"):
        whole_figures(drawn)
