"""`platorep report` from what the other commands left on disk."""

from __future__ import annotations

import pytest

from platorep import cli
from platorep.commands.align import align_models
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract_models
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
