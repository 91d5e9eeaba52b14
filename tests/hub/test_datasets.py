"""Datasets of the Hub by the real library: the rows of the commit that was asked for, or a sentence."""

from __future__ import annotations

import io
import os
import zipfile

import pytest
import yaml

from platorep.cli.schema import config_dir
from platorep.core.errors import AssetError, DataError, SpecError, UnknownNameError
from platorep.core.specs import DatasetSpec
from platorep.data import open_dataset
from tests.hub import builder_data
from tests.hub.builder import GITATTRIBUTES
from tests.hub.conftest import go_offline, start_anew


PAIRS = DatasetSpec(name="wit_1024", source="hub", id="minhuh/prh", revision="wit_1024")


@pytest.fixture
def prh(hub):
    """minhuh/prh with six pairs; the commit of its branch is `prh.branches["wit_1024"]`."""
    return builder_data.add_prh(hub, 6)


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def first_captions(spec):
    return [captions[0] for captions in open_dataset(spec).samples.captions]


def test_the_pairs_of_the_branch_come_with_its_commit_and_its_name(prh):
    data = open_dataset(PAIRS.replace(n=4))
    assert (data.spec.revision, data.spec.branch) == (prh.branches["wit_1024"], "wit_1024")
    assert data.samples.captions[1] == ["A small tiger, number 1.", "Another word for it: A small tiger, number 1."]
    assert data.picture(2).tobytes() == builder_data.pictures(6)[2].tobytes()
    assert open_dataset(data.spec).spec.branch == "wit_1024"


def test_a_branch_without_data_is_refused_with_the_branches_that_there_are(prh):
    with pytest.raises(
        SpecError, match="minhuh/prh has no data files at commit .*; its branches are main, wit_1024: set"
    ):
        open_dataset(PAIRS.replace(revision=None))
    first_captions(PAIRS)  # once that is in the cache, it must not be taken for main
    with pytest.raises(SpecError, match="has no data files at commit"):
        open_dataset(PAIRS.replace(revision="main"))
    with pytest.raises(AssetError, match="has no such revision. Look at its branches"):
        open_dataset(PAIRS.replace(revision="wit_4096"))


@pytest.mark.parametrize("how", ["stopped", "offline"])
def test_a_second_opening_needs_no_hub(hub, prh, monkeypatch, how):
    before = first_captions(PAIRS)
    hub.requests.clear()
    start_anew(monkeypatch)
    hub.stop() if how == "stopped" else go_offline(monkeypatch)
    assert first_captions(PAIRS) == before
    assert open_dataset(PAIRS).spec.revision == prh.branches["wit_1024"]
    assert hub.requests == []


def test_a_second_opening_asks_only_where_the_branch_is(hub, prh, monkeypatch):
    first_captions(PAIRS)
    hub.requests.clear()
    start_anew(monkeypatch)
    first_captions(PAIRS)
    assert [request.path for request in hub.requests] == ["/api/datasets/minhuh/prh/revision/wit_1024"]


def test_a_commit_that_is_not_here_is_not_replaced_by_another(hub, prh, monkeypatch):
    """The library takes the newest copy in its cache, whatever commit it is of, when the Hub does not answer."""
    first = prh.branches["wit_1024"]
    second = prh.commit(builder_data.pairs(5, seed=9), "wit_1024")
    assert len(open_dataset(PAIRS.replace(revision=second))) == 5
    hub.stop()
    with pytest.raises(AssetError, match=f"'minhuh/prh' at revision '{first}' could not be fetched.*does not hold it"):
        open_dataset(PAIRS.replace(revision=first))
    hub.start()
    assert len(open_dataset(PAIRS.replace(revision=first))) == 6
    hub.stop()
    assert len(open_dataset(PAIRS.replace(revision=first))) == 6
    assert len(open_dataset(PAIRS.replace(revision=second))) == 5


def test_the_hubs_own_download_is_enough(hub, prh, home, monkeypatch):
    """What the messages advise: `hf download ID --repo-type dataset --revision BRANCH`, and its cache brought here."""
    from huggingface_hub import snapshot_download

    snapshot_download("minhuh/prh", repo_type="dataset", revision="wit_1024")
    go_offline(monkeypatch)
    assert len(open_dataset(PAIRS)) == 6


def test_a_branch_that_moves_during_a_run_stays_put_and_the_next_run_sees_it(hub, prh, monkeypatch):
    first = open_dataset(PAIRS).spec.revision
    second = prh.commit(builder_data.pairs(5), "wit_1024")
    assert open_dataset(PAIRS).spec.revision == first
    start_anew(monkeypatch)
    assert open_dataset(PAIRS).spec.revision == second


# faults and damage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["429", "503", "drop", "reset", "truncate", "flip"])
def test_one_fault_changes_no_row(hub, prh, no_waiting, fault):
    hub.fail(fault, "GET /storage" if fault in ("reset", "truncate", "flip") else "", seconds=1)
    data = open_dataset(PAIRS)
    assert len(data) == 6
    assert [data.picture(i).tobytes() for i in range(6)] == [p.tobytes() for p in builder_data.pictures(6)]


def test_a_hub_that_stays_busy_is_named(hub, prh, no_waiting):
    hub.fail("503", "/storage", times=-1)
    with pytest.raises(AssetError, match="dataset 'minhuh/prh' at revision .* answered 503 to 5 tries"):
        open_dataset(PAIRS)


def test_a_damaged_parquet_is_fetched_again_or_named(hub, prh, home, monkeypatch):
    open_dataset(PAIRS)
    (parquet,) = (home / "hub").rglob("snapshots/*/data/*.parquet")
    for connected in (True, False):
        content = bytearray(parquet.read_bytes())
        content[len(content) // 2] ^= 1
        (parquet.parent / os.readlink(parquet)).write_bytes(content)
        start_anew(monkeypatch)
        if connected:
            assert len(open_dataset(PAIRS)) == 6
        else:
            hub.stop()
            with pytest.raises(
                AssetError, match="train-00000-of-00001.parquet in the cache was damaged and has been removed"
            ):
                open_dataset(PAIRS)


def test_files_that_are_no_parquet_though_their_hashes_are_right_are_named(hub):
    hub.add("owner/broken", {**GITATTRIBUTES, "data/train-00000-of-00001.parquet": b"PAR1 no more"}, "dataset")
    with pytest.raises(DataError, match="dataset owner/broken cannot be read .*checked by their hashes"):
        open_dataset(PAIRS.replace(id="owner/broken", revision=None))


def test_a_disk_that_is_full_while_rows_are_prepared_is_a_sentence(prh, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datasets.arrow_writer.ArrowWriter.write_table", full)
    with pytest.raises(AssetError, match="does not fit on the disk where it is prepared .*HF_DATASETS_CACHE"):
        open_dataset(PAIRS)


# layouts --------------------------------------------------------------------------------------------------------------


def test_of_several_configs_only_the_chosen_one_is_fetched(hub):
    hub.add("askoepke/wit_1m_recaptioned", builder_data.recaptioned(4), "dataset")
    asked = DatasetSpec(
        name="recaptioned", source="hub", id="askoepke/wit_1m_recaptioned", config="wit_1024",
        columns={"text": "original_caption"},
    )  # fmt: skip
    assert len(open_dataset(asked)) == 4
    assert [request.path.rpartition("wit_1024/")[2] for request in hub.asked("GET /storage")] == [
        "train-00000-of-00001.parquet"
    ]
    assert len(open_dataset(asked.replace(config="wit_1m"))) == 8
    assert len(open_dataset(asked)) == 4
    with pytest.raises(UnknownNameError, match="unknown config of dataset askoepke/.* 'wit_1k'. Did you mean"):
        open_dataset(asked.replace(config="wit_1k"))
    with pytest.raises(SpecError, match="several configs: wit_1m, wit_1024. Choose one with dataset.config"):
        open_dataset(asked.replace(config=None))
    with pytest.raises(UnknownNameError, match="unknown split of dataset askoepke/.* 'test'"):
        open_dataset(asked.replace(split="test"))


@pytest.mark.parametrize("tars", [1, 3])
def test_tar_files_with_notes_beside_them_are_a_task_of_pictures_and_classes(hub, tars):
    """With one tar a split beside nshards.txt, the library takes the text for the data."""
    task = yaml.safe_load((config_dir() / "probe" / "vtab.yaml").read_text())["tasks"]["dtd"]
    hub.add(task["dataset"]["id"], builder_data.webdataset(6, tars=tars), "dataset")
    for part, seed in (("dataset", 0), ("validation", 1)):
        data = open_dataset(DatasetSpec.from_dict({**task[part], "order_seed": None}))
        assert data.samples.categories == [str(i % 3) for i in range(6)] * tars
        assert data.picture(3).tobytes() == builder_data.pictures(6 * tars, seed=seed)[3].tobytes()


def test_pictures_in_an_archive_are_found(hub):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        lines = ["file_name,text"]
        for number, picture in enumerate(builder_data.pictures(4)):
            content = io.BytesIO()
            picture.save(content, "PNG")
            archive.writestr(f"{number}.png", content.getvalue())
            lines.append(f"{number}.png,caption {number}")
        archive.writestr("metadata.csv", "\n".join(lines))
    hub.add("owner/zipped", {**GITATTRIBUTES, "train.zip": out.getvalue()}, "dataset")
    assert sorted(first_captions(PAIRS.replace(id="owner/zipped", revision=None))) == [f"caption {i}" for i in range(4)]


def test_a_program_is_neither_run_nor_taken_for_data(hub, tmp_path):
    mark = tmp_path / "it ran"
    program = f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
    hub.add("owner/openwebtext", {**GITATTRIBUTES, "openwebtext.py": program.encode()}, "dataset")
    with pytest.raises(SpecError, match="owner/openwebtext is a program .openwebtext.py., .*refs/convert/parquet"):
        open_dataset(PAIRS.replace(id="owner/openwebtext", revision=None))
    assert not mark.exists()


def test_the_folder_of_a_repository_holds_real_files_only_where_they_are_wanted(hub, home):
    hub.add("askoepke/wit_1m_recaptioned", builder_data.recaptioned(4), "dataset")
    open_dataset(
        DatasetSpec(
            name="r",
            source="hub",
            id="askoepke/wit_1m_recaptioned",
            config="wit_1m",
            columns={"text": "gemini_caption"},
        )
    )
    (folder,) = (home / "platorep" / "datasets").iterdir()
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size > 0 for path in folder.glob("*/*.parquet")}
    assert sizes == {"wit_1m/train-00000-of-00001.parquet": True, "wit_1024/train-00000-of-00001.parquet": False}


SOUNDS = {
    "esc50": ("category", ["dog", "rain", "dog"], ("filename", ["1-1-A.wav", "1-2-A.wav", "1-3-A.wav"])),
    "clotho": ("raw_text", [["rain", "it rains"], ["a dog", "barking"], ["a bell", "it rings"]], ("index", [7, 8, 9])),
    "audiocaps": ("caption", ["rain falls", "a dog barks", "a bell rings"], ("audiocap_id", [11, 12, 13])),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUNDS)
def test_sets_of_sounds_have_the_columns_of_their_configurations(hub, name):
    values = yaml.safe_load((config_dir() / "dataset" / f"{name}.yaml").read_text())
    text, said, (column, ids) = SOUNDS[name]
    served = hub.add(values["id"], builder_data.sounds(text, said, (column, ids)), "dataset")
    assert len(values["revision"]) == 40
    data = open_dataset(DatasetSpec.from_dict(values | {"revision": served.branches["main"], "order_seed": None}))
    assert data.samples.ids == [str(one) for one in ids]
    assert data.samples.captions == [one if isinstance(one, list) else [one] for one in said]
    assert data.samples.sounds == [1, 1, 1]
    assert data.samples.pictures == [0, 0, 0]
    assert (data.sound(1).rate, len(data.sound(1).samples)) == (8000, 2000)
    assert (data.samples.categories is not None) == (name == "esc50")


def test_a_column_that_holds_no_sounds_is_named(hub):
    served = hub.add("someone/texts", builder_data.sounds("text", ["a", "b"], ("row", [1, 2])), "dataset")
    spec = DatasetSpec(
        name="texts", source="hub", id="someone/texts", revision=served.branches["main"], columns={"sound": "row"}
    )
    with pytest.raises(
        DataError, match=r"column 'row' of dataset someone/texts holds no sounds but .*Set columns.sound"
    ):
        open_dataset(spec)
    assert open_dataset(spec.replace(columns={"sound": "audio"})).samples.sounds == [1, 1]
