"""Files are written whole or not at all; leftovers of killed processes are removed; disk errors are one sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from safetensors import SafetensorError

from platorep.core import temporary
from platorep.core.disk import check_writable, disk_error, disk_errors
from platorep.core.errors import DiskError, StoreError
from platorep.core.files import (
    read_json,
    read_parquet,
    read_record,
    remove_temporary,
    slug,
    table_facts,
    temporary_folder,
    write_atomically,
    write_json,
    write_parquet,
    write_record,
)
from platorep.core.temporary import remove_temporary_below


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


# temporary folders ----------------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    write_atomically(path, lambda p: p.write_text("old"))

    def fail(p):
        p.write_text("half")
        (p.parent / ".tmpAb3d").write_text("a library's own")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_atomically(path, fail)
    assert [one.name for one in tmp_path.iterdir()] == ["x.txt"]
    assert path.read_text() == "old"


@pytest.fixture
def killed(tmp_path):
    """A child process that was killed while it wrote: its temporary folder is still there."""
    code = (
        "import sys, time, pathlib\n"
        "from platorep.core.files import write_atomically\n"
        "def write(p):\n"
        "    p.write_text('half')\n"
        "    print(p, flush=True)\n"
        "    time.sleep(600)\n"
        "write_atomically(pathlib.Path(sys.argv[1]), write)\n"
    )
    processes = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", code, tmp_path / "x.txt"], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline().strip()
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_what_a_killed_writer_left_is_removed_at_the_next_write_and_a_live_writer_keeps_its_own(tmp_path, killed):
    dead, live = killed(), killed()
    assert len(hidden(tmp_path)) == 2
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    write_atomically(tmp_path / "other.txt", lambda p: p.write_text("whole"))
    (left,) = hidden(tmp_path)
    assert f"-{live.pid}-" in left
    assert (tmp_path / left / "x.txt").read_text() == "half"


def test_what_a_killed_writer_left_is_removed_in_every_folder_of_results(tmp_path, killed):
    """A kill after the last rename leaves a folder in a place that may never be written to again."""
    dead, live = killed(), killed()
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (of_dead,) = (name for name in hidden(tmp_path) if f"-{dead.pid}-" in name)
    places = [tmp_path / place for place in ("units/toy/parts", "competence/parts", "features/toy")]
    for place in places:
        place.mkdir(parents=True)
        shutil.copytree(tmp_path / of_dead, place / of_dead)
    remove_temporary_below(tmp_path)
    assert [hidden(place) for place in places] == [[], [], []]
    (left,) = hidden(tmp_path)
    assert f"-{live.pid}-" in left


def test_the_writer_itself_keeps_what_it_is_writing_and_only_that(tmp_path):
    with temporary_folder(tmp_path) as folder:
        stale = folder.with_name(folder.name[:-8] + "0" * 8)  # left by an earlier process of the same number
        stale.mkdir()
        remove_temporary(tmp_path)
        assert folder.is_dir()
        assert not stale.exists()


@pytest.mark.parametrize(
    ("name", "young"),
    [
        (".tmp-00000000-1-00000000", True),  # of another machine
        (".shard-00000.safetensors.123.ab12cd34.tmp", True),  # of an earlier version
        (".tmp-123-ab12cd34", True),
        (".tmpZk3Rtq", True),  # safetensors' own
    ],
)
def test_what_cannot_be_asked_stays_for_a_day(tmp_path, name, young):
    path = tmp_path / name
    path.mkdir() if name.startswith(".tmp-") else path.touch()
    remove_temporary(tmp_path)
    assert path.exists() is young
    os.utime(path, (time.time() - temporary.DAY - 1,) * 2)
    remove_temporary(tmp_path)
    assert not path.exists()


def test_other_hidden_files_stay(tmp_path):
    for name in (".contents.json", ".git", ".template", ".net--abc.new", ".tmp"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    remove_temporary(tmp_path)
    assert len(hidden(tmp_path)) == 5


# the disk -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            errno.ENOSPC,
            r"x: no space is left on its disk. Free some, or choose another folder \(root=PATH\). Finished work",
        ),
        (errno.EDQUOT, "x: the disk quota is used up. Free some"),
        (errno.EROFS, "x: its file system is read-only. Mount it writable, or choose another folder"),
        (errno.EACCES, "x: permission denied. Change its owner or mode"),
        (errno.EIO, "x: the disk reports an input/output error. Check the disk"),
        (errno.ENAMETOOLONG, "x: its name is too long for this file system. Shorten the name"),
        (errno.EMFILE, "x: this process has too many open files"),
        (errno.ETXTBSY, "x: Text file busy"),
    ],
)
def test_what_the_disk_refuses_is_one_sentence_with_path_cause_and_remedy(tmp_path, number, said):
    def refuse(p):
        raise OSError(number, os.strerror(number), str(p))

    with pytest.raises(DiskError, match=f"^{tmp_path}/{said}") as stopped:
        write_atomically(tmp_path / "x", refuse)
    assert "\n" not in str(stopped.value)
    assert hidden(tmp_path) == []


def test_errors_of_safetensors_are_recognised_by_the_system_s_number_and_others_pass(tmp_path):
    with pytest.raises(DiskError, match="x: no space is left on its disk"), disk_errors(tmp_path / "x"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(SafetensorError, match="header too small"), disk_errors(tmp_path / "x"):
        raise SafetensorError("Error while deserializing header: header too small")


def test_a_file_or_a_broken_link_where_a_folder_is_needed_is_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place, said in (
        ("file", "file:?( it)? is a file, where a folder is needed. Remove or rename it"),
        ("link", f"link is a link to {tmp_path}/nowhere, which does not exist. Make that folder, or remove the link"),
    ):
        for inside in ("", "features/x"):
            with pytest.raises(DiskError, match=said):
                check_writable(tmp_path / place / inside)
    with pytest.raises(DiskError, match="file is a file, where a folder is needed"):
        write_json(tmp_path / "file" / "x.json", {})
    with pytest.raises(DiskError, match="loop"):
        check_writable(tmp_path / "loop" / "x")


def test_what_a_kill_leaves_of_the_probe_is_removed_by_the_next(tmp_path, monkeypatch):
    folder = tmp_path / "outputs"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "write_bytes", lambda *_: os.kill(os.getpid(), 9))
        check_writable(folder)
    os.waitpid(child, 0)
    assert len(list(folder.iterdir())) == 1
    check_writable(folder)
    assert not list(folder.iterdir())


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_an_error_without_a_path_names_the_error_s_own():
    assert str(disk_error(OSError(errno.EACCES, "no", "/somewhere/x"))).startswith("/somewhere/x: permission denied")


# JSON -----------------------------------------------------------------------------------------------------------------


def test_a_record_that_was_changed_is_named_and_its_layout_does_not_matter(tmp_path):
    path, value = tmp_path / "x.json", {"schema": 2, "b": [1, 2.5, "ü"], "a": {"y": None, "x": True}}
    write_record(path, value)
    assert read_record(path, checked_since=2) == value
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(stored.items()))))
    assert read_record(path) == value
    for change in (
        {"b": [2.5, 1, "ü"]},
        {"a": {"y": None, "x": False}},
        {"c": 1},
        {"checksum": "0"},
        {"checksum": None},
    ):
        path.write_text(json.dumps({**stored, **change}))
        with pytest.raises(StoreError, match="x.json is damaged .* it was changed after it was written"):
            read_record(path, checked_since=2)
    del stored["checksum"]
    path.write_text(json.dumps(stored))
    assert read_record(path, checked_since=3) == value  # an earlier version's
    with pytest.raises(StoreError, match="x.json is damaged"):
        read_record(path, checked_since=2)


def test_json_of_another_kind_is_named(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[1]")
    assert read_json(path, list) == [1]
    with pytest.raises(StoreError, match=r"x.json is damaged \(it holds a list, expected a dict\)"):
        read_json(path)
    with pytest.raises(StoreError, match=r"y.json is missing. Run `platorep extract` first"):
        read_json(tmp_path / "y.json")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("lite0", "lite0"), ("org/model 1", "org-model-1"), ("模型", "unnamed"), ("..", "unnamed"), ("x" * 300, "x" * 80)],
)
def test_a_slug_is_one_short_path_component(name, expected):
    assert slug(name) == expected
    assert slug(slug(name)) == slug(name)


# parquet --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def table():
    overlaps = pa.FixedSizeListArray.from_arrays(pa.array(range(12), pa.uint8()), 4)
    return pa.table(
        {
            "name": pa.array(["a", "b", None]),
            "score": pa.array([0.5, float("nan"), -0.0]),
            "n": pa.array([1, None, 3]),
            "yes": pa.array([True, None, False]),
            "overlaps": overlaps,
        }
    )


def test_a_table_comes_back_with_its_facts_and_the_same_table_gives_the_same_bytes(tmp_path, table):
    for name in ("x", "y"):
        write_parquet(tmp_path / name, table, {"made_from": ["a", "b"]})
    back = read_parquet(tmp_path / "x")
    assert repr(back.to_pydict()) == repr(table.to_pydict())
    assert table_facts(back) == {"made_from": ["a", "b"]}
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_table_without_a_checksum_is_read(tmp_path, table):
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "x")
    assert table_facts(read_parquet(tmp_path / "x")) == {}


@pytest.mark.parametrize("column", [0, 1, 2, 3, 4])
def test_other_values_under_a_stated_checksum_are_refused(tmp_path, table, column):
    """As if the pages' own checksums had been forged, or a page moved to another column."""
    from pyarrow import parquet

    write_parquet(tmp_path / "x", table)
    metadata = parquet.read_schema(tmp_path / "x").metadata
    other = table.set_column(column, table.column_names[column], table.column(column).take([1, 0, 2]))
    parquet.write_table(other.replace_schema_metadata(metadata), tmp_path / "x")
    with pytest.raises(StoreError, match="x is damaged .*do not match its checksum"):
        read_parquet(tmp_path / "x")


def test_every_flipped_bit_of_a_table_is_refused_or_changes_nothing(tmp_path, table):
    path = tmp_path / "x.parquet"
    write_parquet(path, table, {"part": "x"})
    whole, expected = path.read_bytes(), (read_parquet(path).to_pydict(), table_facts(read_parquet(path)))
    messages = []
    for place in range(0, len(whole), 3):
        raw = bytearray(whole)
        raw[place] ^= 1 << (place % 8)
        path.write_bytes(raw)
        try:
            back = read_parquet(path)
        except StoreError as error:
            messages.append(str(error))
        else:
            assert repr((back.to_pydict(), table_facts(back))) == repr(expected)
    assert len(messages) > len(whole) / 3 / 10
    assert all("x.parquet is damaged" in message for message in messages)
