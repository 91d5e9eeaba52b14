"""The command `neighbours` on small models: its table, its page, its layers, and what it refuses."""

import logging

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from platorep.cli import schema
from platorep.cli.words import hydra_words
from platorep.commands.align import align
from platorep.commands.configuration import experiment
from platorep.commands.extract import extract
from platorep.commands.neighbours import neighbours, query_of
from platorep.commands.options import Neighbours
from platorep.core.errors import DataError, SpecError, StoreError
from platorep.data import open_dataset


schema.register()

N = 24
WORDS = ("suite=synthetic", "~models.efficientnet_random", "dataset=synthetic", f"dataset.n={N}")


@pytest.fixture(scope="module")
def configured(tmp_path_factory):
    """Configurations over word counts, pixels and a small network, extracted."""
    root = tmp_path_factory.mktemp("neighbours")

    def make(*words):
        words = [*WORDS, f"root={root}", "compute.device=cpu", "statistics.permutations=0", *words]
        with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
            return experiment(OmegaConf.to_container(compose("neighbours", overrides=words), resolve=True))

    extract(make())
    return make


@pytest.fixture(scope="module")
def pairs(configured):
    return open_dataset(configured().dataset)


def test_a_text_is_read_by_the_language_models_alone_and_its_twin_comes_first(configured, pairs, capsys):
    caption = pairs.samples.captions[6][0]
    assert neighbours(configured(), Neighbours(query=caption, k=3)) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["tfidf"]
    assert lines[1].split() == ["layer", "0", "(words)"]
    assert lines[2].split(maxsplit=1) == ["1", f"{caption} (1.000)".ljust(len(lines[2].split(maxsplit=1)[1]))]
    assert len(lines) == 5


def test_a_picture_is_read_by_the_vision_models_and_the_page_shows_it(configured, pairs, tmp_path, capsys):
    path = tmp_path / "a <b>.png"
    pairs.picture(9).save(path)
    page = neighbours(configured(), Neighbours(query=str(path), k=4, html=True))
    first = capsys.readouterr().out.splitlines()[2]
    assert first.count(f"◆ {pairs.samples.captions[9][0]} (1.000)") == 2  # pixels and the network
    text = page.read_text(encoding="utf-8")
    assert "Nearest to a &lt;b&gt;.png" in text
    assert "<b>.png" not in text
    assert text.count('class="near') == 8
    assert "◆ shared by 2 of 2" in text
    assert "<script" not in text
    again = neighbours(configured(), Neighbours(query=str(path), k=4, html=True))
    assert again.read_text(encoding="utf-8") == text


def test_a_model_that_cannot_embed_the_query_is_left_out_with_the_reason(configured, caplog):
    with pytest.raises(DataError, match="no model could embed the query; the lines above say why"):
        neighbours(configured(), Neighbours(query="zzyzx"))
    assert "tfidf is left out: the vector of the query is zero, which has no direction." in caplog.text


def test_the_layer_is_the_last_or_one_that_is_named_or_the_one_that_the_protocol_chose(
    configured, pairs, tmp_path, capsys
):
    run, query = configured("protocol.pairs=all"), Neighbours(query=pairs.samples.captions[0][0], layer="chosen", k=2)
    path = tmp_path / "p.png"
    pairs.picture(0).save(path)
    with pytest.raises(StoreError, match="no scores"):
        neighbours(run, query)
    align(run)
    capsys.readouterr()
    neighbours(configured("protocol.pairs=all"), query)
    chosen = capsys.readouterr().out.splitlines()[1].strip()
    assert chosen in ("layer 0 (words)", "all layers")
    with pytest.raises(SpecError, match=r"neighbours\.layer is 'all', which means \d layers; expected one"):
        neighbours(configured("only=vit_random"), Neighbours(query=str(path), layer="all"))
    with pytest.raises(SpecError, match=r"neighbours\.layer is '99', but the model has 1 layers"):
        neighbours(configured(), Neighbours(query="red", layer="99"))


def test_what_cannot_be_searched_for_is_refused(configured, tmp_path, caplog):
    with pytest.raises(SpecError, match='there is no query: run platorep neighbours "a violin"'):
        neighbours(configured(), Neighbours(query=" "))
    with pytest.raises(DataError, match=r"gone\.png: file cannot be read: No such file or directory"):
        neighbours(configured(), Neighbours(query="gone.png"))
    with pytest.raises(
        DataError, match="no stored model of synthetic on synthetic reads a text: extract one of modality"
    ):
        neighbours(configured("only=pixels"), Neighbours(query="red"))
    with pytest.raises(SpecError, match=f"neighbours.k is 99; expected 1 to {N}, the number of samples"):
        neighbours(configured(), Neighbours(query="red", k=99))
    caplog.set_level(logging.WARNING)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png: picture is unreadable"):
        query_of(str(tmp_path / "bad.png"))


TEXTS = [
    "a violin",
    'it\'s “odd”: "${x}", [a] {b: c} = d, 100 % & more',
    "back\\slash \\' and a last one \\",
    "null",
    "1.0",
    "ein Bär 猫 …",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_arrives_as_it_was_written(text):
    words = hydra_words("neighbours", [text, *WORDS, "--html"])
    with initialize_config_dir(str(schema.config_dir()), version_base="1.3"):
        cfg = OmegaConf.to_container(compose("neighbours", overrides=words), resolve=True)
    assert cfg["neighbours"] == {"query": text, "k": 10, "layer": "last", "html": True}


def test_words_without_quotes_are_joined_and_overrides_are_no_part_of_the_query():
    assert hydra_words("neighbours", ["a", "violin", "suite=offline", "~models.tfidf", "+models.a.id=b"]) == [
        "neighbours.query='a violin'", "suite=offline", "~models.tfidf", "+models.a.id=b"
    ]  # fmt: skip
    assert hydra_words("neighbours", ["only=lite0"]) == ["only=lite0"]
