"""Documents for bits per byte from the Hub: the first files, at the pinned commit, and again without a connection."""

from __future__ import annotations

import datasets
import pytest
import yaml

from platorep.cli.schema import config_dir
from platorep.competence.corpora import read_corpus
from platorep.core.errors import AssetError, DataError, SpecError, UnknownNameError
from platorep.core.specs import CorpusSpec, DatasetSpec
from platorep.data import open_dataset
from tests.hub import builder_data
from tests.hub.builder import GITATTRIBUTES
from tests.hub.conftest import go_offline, start_anew


CARD = b"""---
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
---
"""


def documents(number: int) -> list[str]:
    return [f"Document {i} of file {number}. " + "Words " * 20 for i in range(4)]


@pytest.fixture
def openwebtext(hub):
    """Skylion007/openwebtext after its conversion: a card, and plain_text/train-000NN-of-00080.parquet."""
    features = datasets.Features({"text": datasets.Value("string")})
    files = {**GITATTRIBUTES, "README.md": CARD}
    for number in range(3):
        files[f"plain_text/train-{number:05d}-of-00080.parquet"] = builder_data.parquet(
            {"text": documents(number)}, features
        )
    return hub.add("Skylion007/openwebtext", files, "dataset")


def configured(**changes) -> CorpusSpec:
    values = yaml.safe_load((config_dir() / "corpus" / "openwebtext.yaml").read_text())
    return CorpusSpec.from_dict({**values, **changes})


def test_only_the_files_that_are_needed_are_fetched_and_the_commit_is_in_the_name(hub, openwebtext):
    commit = openwebtext.branches["main"]
    corpus = read_corpus(configured(revision=commit, max_bytes=300))
    assert corpus.texts == documents(0)[:3]
    assert corpus.name == f"openwebtext@{commit[:12]}"
    assert [request.path.rpartition("/")[2] for request in hub.asked("GET /storage")] == [
        "train-00000-of-00080.parquet"
    ]
    more = read_corpus(configured(revision=commit, max_bytes=900))
    assert more.texts == documents(0) + documents(1)[:3]
    assert len(hub.asked("GET /storage")) == 2  # the second file, and the first one not again
    assert read_corpus(configured(revision=commit, max_bytes=None)).texts == documents(0) + documents(1) + documents(2)


def test_a_second_run_needs_no_hub(hub, openwebtext, monkeypatch):
    spec = configured(revision=openwebtext.branches["main"], max_bytes=300)
    before = read_corpus(spec)
    hub.requests.clear()
    start_anew(monkeypatch)
    go_offline(monkeypatch)
    assert read_corpus(spec).digest == before.digest
    assert hub.requests == []


def test_a_commit_that_is_not_here_is_not_replaced_by_another(hub, openwebtext, monkeypatch):
    first = openwebtext.branches["main"]
    name = "plain_text/train-00000-of-00080.parquet"
    features = datasets.Features({"text": datasets.Value("string")})
    changed = builder_data.parquet({"text": documents(7)}, features)
    second = openwebtext.commit({"README.md": CARD, name: changed})
    assert read_corpus(configured(revision=second, max_bytes=300)).texts == documents(7)[:3]
    start_anew(monkeypatch)
    hub.stop()
    with pytest.raises(AssetError, match=f"'Skylion007/openwebtext' at revision '{first}' could not be fetched"):
        read_corpus(configured(revision=first, max_bytes=300))
    assert read_corpus(configured(revision=second, max_bytes=300)).texts == documents(7)[:3]


def test_the_configured_commit_is_one_and_where_it_is_missing_a_sentence_says_so(openwebtext):
    spec = configured()
    assert len(spec.revision) == 40
    with pytest.raises(
        AssetError, match=f"'Skylion007/openwebtext' at revision '{spec.revision}': the repository has no"
    ):
        read_corpus(spec)


def test_a_loading_script_is_refused_and_not_run(hub, tmp_path):
    mark = tmp_path / "it ran"
    files = {**GITATTRIBUTES, "openwebtext.py": f"open({str(mark)!r}, 'w')".encode(), "README.md": b"# OpenWebText\n"}
    repository = hub.add("Skylion007/openwebtext", files, "dataset")
    with pytest.raises(SpecError, match="is a program .openwebtext.py., which is not run"):
        read_corpus(configured(revision=repository.branches["main"]))
    assert not mark.exists()


def test_wrong_names_and_damaged_files_are_named(hub, openwebtext):
    commit = openwebtext.branches["main"]
    with pytest.raises(
        UnknownNameError, match="unknown column of corpus Skylion007/openwebtext 'txt'. Did you mean 'text'"
    ):
        read_corpus(configured(revision=commit, column="txt"))
    with pytest.raises(UnknownNameError, match="unknown split of dataset Skylion007/openwebtext 'test'"):
        read_corpus(configured(revision=commit, split="test"))
    with pytest.raises(UnknownNameError, match="unknown config of dataset Skylion007/openwebtext 'plain'"):
        read_corpus(configured(revision=commit, config="plain"))
    broken = hub.add("a/broken", {**GITATTRIBUTES, "data/train-00000-of-00001.parquet": b"PAR1 no more"}, "dataset")
    with pytest.raises(DataError, match="dataset a/broken cannot be read"):
        read_corpus(configured(id="a/broken", revision=broken.branches["main"]))


@pytest.mark.parametrize("tars", [1, 2])
def test_a_local_copy_of_a_task_of_tar_files_opens_like_the_repository(tmp_path, monkeypatch, tars):
    """With one tar a split beside nshards.txt, the library takes the notes for the data."""
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    for name, content in builder_data.webdataset(6, tars=tars).items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    spec = DatasetSpec(
        name="dtd", source="hub", id=str(tmp_path / "copy"), split="test",
        columns={"image": "webp", "text": "cls", "category": "cls"},
    )  # fmt: skip
    data = open_dataset(spec)
    assert data.samples.categories == [str(i % 3) for i in range(6)] * tars
    assert data.picture(3).tobytes() == builder_data.pictures(6 * tars, seed=1)[3].tobytes()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [
        ".gitattributes", "classnames.txt", "test", "train", "zeroshot_classification_templates.txt",
    ]  # fmt: skip
