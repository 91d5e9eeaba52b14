"""`platorep store`: what goes in comes out, damage is found, and wrong names are answered."""

import numpy as np
import pytest
from typer.testing import CliRunner

from platorep import cli


def store(*words):
    return CliRunner().invoke(cli.app, ["store", *map(str, words)])


@pytest.fixture
def root(tmp_path):
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", ids=np.array([f"s{i}" for i in range(12)]), layer=x)
    done = store(
        "import",
        tmp_path / "mine.npz",
        "--name",
        "mine",
        "--modality",
        "brain",
        "--dataset",
        "scans",
        "--root",
        tmp_path / "out",
    )
    assert done.exit_code == 0, done.output
    return tmp_path / "out"


def test_what_was_imported_is_exported_unchanged(root, tmp_path):
    assert store("export", "mine", tmp_path / "again.npz", "--root", root).exit_code == 0
    with np.load(tmp_path / "mine.npz") as before, np.load(tmp_path / "again.npz") as after:
        assert before["ids"].tolist() == after["ids"].tolist()
        name = next(key for key in after if key != "ids")
        np.testing.assert_array_equal(before["layer"], after[name])


def damage(root, name):
    shard = next(root.rglob(f"{name}--*/shard-*"))
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(raw)
    return shard


@pytest.fixture
def three(root, tmp_path):
    """Three imported models, of which the first and the last will be damaged."""
    for name in ("one", "two three"):
        words = ["--name", name, "--modality", "brain", "--dataset", "scans", "--root", root]
        assert store("import", tmp_path / "mine.npz", *words).exit_code == 0
    return root


def test_verify_finds_a_changed_byte(root):
    assert store("verify", "--root", root).exit_code == 0
    damage(root, "mine")
    done = store("verify", "--root", root)
    assert done.exit_code == 1
    assert "it changed after it was written" in done.output


def test_every_damaged_set_is_named_listed_and_removed_and_the_others_are_left(three):
    damage(three, "mine")
    next(three.rglob("two-three--*/manifest.json")).write_text("[")
    done = store("verify", "--root", three)
    assert done.exit_code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("scans--")]
    assert ["mine--" in line and "changed" in line for line in lines] == [True, False, False]
    assert ["whole" in line for line in lines] == [False, True, False]
    assert "manifest.json is damaged" in lines[2]
    done = store("rm", "*", "--yes", "--root", three)
    assert done.exit_code == 0, done.output
    assert not list(three.rglob("shard-*"))


def test_repair_says_what_became_of_each(three):
    damage(three, "one")
    done = store("repair", "--root", three)
    assert done.exit_code == 1
    assert "/mine--" in done.output
    assert "one--" in done.output
    assert "it was imported: import its file again" in done.output
    assert done.output.count(": whole") == 2
    assert store("repair", "mine", "--root", three).exit_code == 0


@pytest.mark.parametrize("pattern", ["two three", "scans/two three", "two-three", "scans/two*"])
def test_a_name_with_a_space_is_found_as_it_is_written(three, tmp_path, pattern):
    assert store("export", pattern, tmp_path / "x.npz", "--root", three).exit_code == 0


def test_rm_removes_what_matches_and_asks_first(root):
    assert CliRunner().invoke(cli.app, ["store", "rm", "mine", "--root", str(root)], input="n\n").exit_code == 0
    assert list(root.rglob("manifest.json"))
    assert store("rm", "mine", "--yes", "--root", root).exit_code == 0
    assert not list(root.rglob("manifest.json"))


def test_a_name_that_matches_nothing_is_answered(root):
    done = store("verify", "other", "--root", root)
    assert done.exit_code == 1
    assert "no features under" in str(done.output) + str(done.exception)


def test_an_unknown_ending_is_refused(root, tmp_path):
    done = store("export", "mine", tmp_path / "x.csv", "--root", root)
    assert done.exit_code == 1


def test_hydra_s_words_are_answered_with_the_option(root, monkeypatch):
    monkeypatch.setattr("sys.argv", ["platorep", "store", "verify", f"root={root}"])
    done = store("verify", f"root={root}", "--root", root)
    assert done.exit_code == 1
    assert "takes options, not Hydra's words: --root PATH, not root=" in done.output


@pytest.mark.parametrize("words", [("verify",), ("repair",), ("rm", "*", "--yes"), ("export", "mine", "mine.npz")])
def test_a_file_or_a_broken_link_in_the_place_of_the_root_is_named(tmp_path, words):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for place, message in (("file", "file is a file, where a folder is needed"), ("link", "which does not exist")):
        done = store(*words, "--root", tmp_path / place)
        assert (done.exit_code, message in done.output.replace("\n", " ")) == (1, True), done.output
