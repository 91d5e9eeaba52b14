"""What Hydra and OmegaConf refuse is answered in one sentence of our own, without their advice and without a trace."""

import json
import os

import pytest

from platorep import cli


def said(words, capsys):
    """Everything that a user reads of a command line that is refused."""
    with pytest.raises(SystemExit) as stopped:
        cli.app(words, standalone_mode=False)
    assert stopped.value.code not in (0, None)
    captured = capsys.readouterr()
    last = stopped.value.code if isinstance(stopped.value.code, str) else ""
    return captured.out + captured.err + last


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["nonsense=3"], ["unknown setting 'nonsense'. Known: basin, "]),
        (["gallery.sed=1"], ["unknown setting of gallery 'sed'. Did you mean 'seed'"]),
        (["captions.model.id=mine"], ["captions.model has no id yet. Write +captions.model.id=VALUE to add it."]),
        (["gallery.seed=${x}"], ["gallery.seed: Interpolation key 'x' not found", "another setting by its full name"]),
        (["++evict=${x}"], ["evict: Interpolation key 'x' not found"]),
        (["evict=3.5"], ["evict: Value '3.5'", "Expected true or false"]),
        (["statistics.permutations=mutual_knn"], ["statistics.permutations: Value 'mutual_knn'", "a whole number"]),
        (["gallery.share=many"], ["gallery.share: Value 'many'", "Expected a number"]),
        (["gallery.sizes=3"], ["gallery.sizes: ", "Expected a list, such as [a,b]"]),
        (["compute.device=[]"], ["compute.device: ", "Expected text"]),
        (["+overwrite=a/b"], ["An item is already at 'overwrite'. Write key=value for a setting"]),
        (["--help", "+overwrite=a/b"], ["An item is already at 'overwrite'. Write key=value for a setting"]),
        (["+models.pixels.modality=vision"], ["already at 'models.pixels.modality'. Write key=value"]),
        (['+protocol="'], ["cannot read the word '+protocol=\"'. Write key=value"]),
        (["~protocol.clip=a"], ["The value of 'protocol.clip' is", "Write key=value"]),
        (["~nonsense"], ["'nonsense' does not exist. Write key=value"]),
        (["~figure=x"], ["Could not delete 'figure=x'", "~key to leave a setting out"]),
        (["~captions=[]"], ["deletion value must be a string. Write key=value"]),
        (["++corpus=%s"], ["'++corpus=%s'. Write key=value for a setting, group=NAME for a choice"]),
        (["dataset.n=1,2"], ["'dataset.n=1,2' holds several values; only -m takes them"]),
        (["hydra/launcher=slrm"], ["Could not find 'hydra/launcher/slrm'. Choose one of: basic, "]),
        (["+hydra.job_logging="], ["An item is already at 'hydra.job_logging'. Write key=value"]),
        (["hydra.job_logging=x"], ["hydra.job_logging: Cannot assign str"]),
        (["--config-dir", "/nowhere"], ["directory '/nowhere' not found. Give a folder that exists"]),
        (["--config-name", "x"], ["Cannot find primary config 'x'", "Leave --config-name out"]),
        (["--cfg", "job", "--info"], ["Only one of --run, --multirun, --cfg", "Write key=value"]),
        (["-m", "captions.batch=1,2"], ["none of the suite's models is extracted"]),
    ],
)
def test_wrong_words_are_answered_with_what_was_got_and_how_to_fix_it(words, messages, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = said(["align", *words], capsys)
    for message in messages:
        assert message in text
    for advice in ("HYDRA_FULL_ERROR", "Traceback", "full_key", "object_type", "use +", "second +"):
        assert advice not in text


def test_an_experiment_is_asked_for_with_the_names_that_there_are(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = said(["reproduce"], capsys)
    assert "You must specify 'reproduce'" in text
    assert "Choose one of: basin, " in text


def test_the_folder_of_a_run_that_cannot_be_made_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "place").touch()
    text = said(["align", "hydra.run.dir=place/run"], capsys)
    assert "place is a file, where a folder is needed" in text


def test_a_setting_may_refer_to_another(tmp_path, capsys, monkeypatch):
    """The overrides are kept in status.json as they were written; resolved apart from the settings they led nowhere."""
    monkeypatch.chdir(tmp_path)
    assert "none of the suite's models is extracted" in said(["align", "gallery.seed=${statistics.seed}"], capsys)
    (status,) = [json.loads(path.read_text()) for path in (tmp_path / "outputs" / "runs").rglob("status.json")]
    assert status["overrides"] == ["gallery.seed=${statistics.seed}"]


def test_the_trace_is_there_for_who_asks_for_it_and_the_environment_stays_as_it_was(tmp_path, monkeypatch):
    from hydra.errors import ConfigCompositionException

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException):
        cli.app(["align", "nonsense=3"], standalone_mode=False)
    monkeypatch.delenv("HYDRA_FULL_ERROR")
    with pytest.raises(SystemExit):
        cli.app(["align", "nonsense=3"], standalone_mode=False)
    assert "HYDRA_FULL_ERROR" not in os.environ
