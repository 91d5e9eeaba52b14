"""The command line's words: their order, our own flags, and names that do not exist."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from platorep import cli
from platorep.cli.words import check_added, check_choices, config_folders, hydra_words
from platorep.core.errors import SpecError, UnknownNameError


FOLDERS = config_folders([])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("suite=ofline", "unknown suite 'ofline'. Did you mean 'offline'"),
        ("dataset=stamp", "unknown dataset 'stamp'. Did you mean 'stamps'"),
        ("metric=mutual_nn", "unknown metric 'mutual_nn'. Did you mean 'mutual_knn'"),
        ("metric=[mutual_knn,ckaa]", "unknown metric 'ckaa'. Did you mean 'cka'"),
        ("figure=fig33", "unknown figure 'fig33'. Did you mean 'fig3'"),
        ("suite=offline,ofline", "unknown suite 'ofline'"),
    ],
)
def test_unknown_choice_is_answered_with_the_nearest(word, message):
    with pytest.raises(UnknownNameError, match=message.replace("[", r"\[")):
        check_choices([word], FOLDERS)


def test_known_choices_and_other_words_pass(tmp_path):
    words = ["suite=offline", "metric=[mutual_knn,cka]", "dataset.n=5", "root=x", "suite=glob(*)", "+models.a.id=b"]
    assert hydra_words("run", words) == words
    assert hydra_words("run", []) == []
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "mine.yaml").write_text("models: {}")
    for words in (["suite=mine", "--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}", "suite=mine"]):
        assert hydra_words("run", words)[-1] == "suite=mine"


def test_a_sweep_over_the_models_of_several_suites_is_refused():
    with pytest.raises(SpecError, match="sweep=per_model runs through the models of one suite"):
        hydra_words("extract", ["-m", "sweep=per_model", "suite=offline,tiny"])


@pytest.mark.parametrize(
    "argv",
    [
        ["suite=tiny", "--config-dir", "mine", "dataset.n=5", "-m"],
        ["--config-dir", "mine", "suite=tiny", "-m", "dataset.n=5"],
        ["-m", "suite=tiny", "dataset.n=5", "--config-dir", "mine"],
    ],
)
def test_options_may_stand_anywhere(argv):
    words = hydra_words("extract", argv)
    assert words[-2:] == ["suite=tiny", "dataset.n=5"]
    assert sorted(words[:-2]) == ["--config-dir", "-m", "mine"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("+max_token=3", "unknown setting 'max_token'. Did you mean 'max_tokens'"),
        ("++max_token=3", "unknown setting 'max_token'"),
        ("+statistics.permutation=3", "unknown setting of statistics 'permutation'. Did you mean 'permutations'"),
        ("+protocl.select=max", "unknown setting 'protocl'. Did you mean 'protocol'"),
        ("+gallery.typo=1", "unknown setting of gallery 'typo'"),
        ("+compute.device.index=1", None),
    ],
)
def test_a_typo_behind_plus_is_answered_with_the_nearest(word, message):
    if message is None:
        check_added([word])  # below a plain value it is Hydra's to refuse
    else:
        with pytest.raises(UnknownNameError, match=message):
            check_added([word])


def test_what_opens_mappings_passes():
    check_added(["+models.mine.id=x", "+metric.cka.kernel=rbf", "+experiment.gram.seeds=2", "+hydra.job.name=x"])
    check_added(["+dataset.columns.text=a", "++statistics.seed=1", "+figure=fig3", "only=a"])


@pytest.mark.parametrize(("flag", "level"), [("-q", "ERROR"), ("--quiet", "ERROR"), ("-v", "DEBUG")])
def test_flags_stand_for_levels_of_the_terminal(flag, level):
    assert f"hydra.job_logging.handlers.console.level={level}" in hydra_words("run", [flag, "suite=tiny"])


def test_bare_words_and_offline_twins():
    assert hydra_words("reproduce", ["fig3", "offline=true"]) == ["reproduce=fig3_offline"]
    assert hydra_words("ls", ["models", "suite=prh"]) == ["what=models", "suite=prh"]
    assert hydra_words("simulate", ["gram"]) == ["experiment=gram"]


@pytest.mark.parametrize("command", ["run", "reproduce", "simulate", "ls", "doctor"])
def test_help_says_what_a_command_does_with_settings_and_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.app([command, "--help"], standalone_mode=False)
    assert not stopped.value.code
    text = capsys.readouterr().out
    assert text.startswith(f"platorep {command}: ")
    assert "Settings used most:" in text
    assert f"  platorep {command}" in text.partition("Examples:")[2]
    assert "shard_rows" not in text  # the whole configuration is behind --cfg job


def test_an_error_is_said_even_where_logging_is_switched_off(tmp_path):
    """In a process of its own: Hydra's choice switches off every logger of the process for good."""
    command = [sys.executable, "-m", "platorep", "align", "hydra/job_logging=disabled", f"root={tmp_path}"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "none of the suite's models is extracted" in finished.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "dataset=folder"], "dataset.id has no value. Add dataset.id=VALUE"),
        (["ls", "models", "dataset=hub"], "dataset.id has no value"),
        (["competence", "corpus=folder"], "corpus.id has no value"),
        (
            ["run", "style.font_size=${nowhere}"],
            "style.font_size: Interpolation key 'nowhere' not found. Expected a value",
        ),
    ],
)
def test_a_setting_without_a_value_is_named(words, message, tmp_path):
    command = [sys.executable, "-m", "platorep", *words, f"root={tmp_path}"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    words = ["suite=synthetic", "dataset=synthetic", "dataset.n=40", "only=[tfidf,pixels]", "figure=matrix"]
    finished = subprocess.run(
        [sys.executable, "-m", "platorep", "run", *words, f"root={tmp_path / 'out'}", "statistics.permutations=19"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path / "file" / "home"), "MPLCONFIGDIR": mpl.get_configdir()},
    )
    assert finished.returncode == 0, finished.stderr
    assert "matrix.png" in finished.stderr


def test_the_shell_completes_commands():
    """What the script that `--install-completion` installs asks, word by word."""
    asked = {"_PLATOREP_COMPLETE": "complete_bash", "COMP_WORDS": "platorep re", "COMP_CWORD": "1"}
    finished = subprocess.run(
        [Path(sys.executable).with_name("platorep")], capture_output=True, text=True, env={**os.environ, **asked}
    )
    assert finished.stdout.split() == ["report", "reproduce"]
