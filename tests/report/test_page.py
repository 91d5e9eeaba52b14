"""The page as a file: its contents, no data as markup, a small size, and the same bytes every time."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from platorep.align import neighbour_graphs
from platorep.core.errors import StoreError
from platorep.metrics.registry import build
from platorep.report import payload, write_page
from platorep.report.page import asset, dissect
from platorep.results.tables import CONCATENATION, AlignmentTable
from tests.report.conftest import HOSTILE, N, make_run


class Page(HTMLParser):
    """Elements with their attributes, the text of scripts, and all text outside of them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.text, self._inside = "", ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html(small, tmp_path_factory):
    return write_page(small, tmp_path_factory.mktemp("page") / "page.html").read_text()


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.fixture(scope="module")
def data(page):
    return json.loads(page.scripts[0])


def unpack(text, *shape):
    return np.frombuffer(base64.b64decode(text), "<u2").reshape(shape)


def test_the_page_loads_nothing_from_outside(html, page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "poster", "srcset"):
            if attributes.get(name):
                assert attributes[name].startswith(("data:", "#")), (tag, attributes)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert "@import" not in asset("page.css")
    assert "url(" not in asset("page.css")
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import ", page.scripts[1])


def test_only_the_page_s_own_script_and_style_may_run(html, page):
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", html, re.S)[1]
    for text in (style, page.scripts[1]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert len(page.scripts) == 2
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)


def test_texts_of_the_data_never_become_markup(html, page, data):
    assert data["explorer"]["captions"][: len(HOSTILE)] == [[one] for one in HOSTILE]
    assert data["explorer"]["categories"][3] == "kind <3>"
    raw = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1]
    assert not set("<>&\u2028") & set(raw)
    assert html.count("broken in") == raw.count("broken in")
    assert "gone & <lost>: picture is the same as that of 's/001'" in page.text
    assert "<b>nowhere</b>" in page.text
    assert "small <suite> on toy" in page.text


def test_the_script_writes_text_and_never_markup(page):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\(\"on",
        page.scripts[1],
    )


def test_the_same_run_gives_the_same_bytes(small, html, tmp_path):
    assert write_page(small, tmp_path / "again.html").read_text() == html


def test_the_explorer_has_the_neighbours_that_align_saw(small, data):
    explorer = data["explorer"]
    assert explorer["k"] == 5
    for one in small.features:
        graphs = neighbour_graphs(one, 5)
        assert {str(len(one.layers) - 1)} <= set(explorer["graphs"][one.name])
        for layer, packed in explorer["graphs"][one.name].items():
            assert (unpack(packed, N, 5) == graphs[int(layer)].numpy()).all()


def test_shared_neighbours_of_the_explorer_are_the_score_of_the_matrix(small, data):
    explorer, names = data["explorer"], [model["name"] for model in data["models"]]
    pairs = [pair for pair in data["pairs"] if pair["metric"] == 0]
    assert len(pairs) == 4
    for pair in pairs:
        x, y = (unpack(explorer["graphs"][names[pair[side]]][str(pair[f"{side}l"])], N, 5) for side in "xy")
        shared = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(x, y, strict=True)])
        assert shared == pytest.approx(pair["score"], abs=1e-6)


def test_layer_maps_hold_every_score_of_the_table(small, data):
    names = [model["name"] for model in data["models"]]
    assert {pair["metric"] for pair in data["pairs"]} == {0, 1}
    for pair in data["pairs"]:
        metric = data["metrics"][pair["metric"]]
        assert pair["rows"] == [0, 1, 2, CONCATENATION]
        levels = unpack(pair["grid"], len(pair["rows"]), len(pair["columns"])).astype(float)
        frame = small.alignment.frame
        frame = frame[
            (frame.metric == metric["id"]) & (frame.x_model == names[pair["x"]]) & (frame.y_model == names[pair["y"]])
        ]
        table = (
            frame.pivot(index="x_layer", columns="y_layer", values="score")
            .loc[pair["rows"], pair["columns"]]
            .to_numpy()
        )
        scores = metric["low"] + (levels - 1) / (payload.STEPS - 1) * (metric["high"] - metric["low"])
        np.testing.assert_allclose(scores, table, atol=(metric["high"] - metric["low"]) / payload.STEPS)


def test_a_layer_pair_that_was_not_scored_is_a_gap(small):
    part = small.alignment.frame.query("x_model == 'l0' and y_model == 'v0' and metric == @small.metrics[0].id").iloc[
        1:
    ]
    packed = payload.grid(part, {"low": 0.0, "high": 1.0})
    assert unpack(packed["grid"], 4, 4)[0, 0] == 0
    assert (unpack(packed["grid"], 4, 4).flatten()[1:] > 0).all()


def test_statistics_are_those_of_the_selection_table(small, page, data):
    rows = small.selection.frame
    assert len(data["pairs"]) == len(rows) == 8
    for pair in data["pairs"]:
        names = [data["models"][pair[side]]["name"] for side in "xy"]
        row = rows[
            (rows.metric == data["metrics"][pair["metric"]]["id"])
            & (rows.x_model == names[0])
            & (rows.y_model == names[1])
        ].iloc[0]
        for mine, theirs in (
            ("score", "score"),
            ("low", "low"),
            ("p_value", "p_value"),
            ("p_family", "p_family"),
            ("q_value", "q_value"),
        ):
            assert pair[mine] == pytest.approx(row[theirs], rel=1e-5)
    assert f"{rows.score.max():.3f}" in page.text


def test_pictures_are_small_and_whole(data):
    assert len(data["explorer"]["pictures"]) == N
    picture = Image.open(io.BytesIO(base64.b64decode(data["explorer"]["pictures"][40])))
    assert (picture.format, picture.size) == ("WEBP", (128, 85))
    assert np.abs(np.asarray(picture)[42, 64].astype(int) - [80, 120, 175]).max() < 8


def test_provenance_and_commands_are_there(small, page):
    for one in small.features:
        assert one.key in page.text
    for command in ("extract", "align", "plot", "report"):
        assert f"platorep {command} suite=small 'metric=[mutual_knn,cka]'" in page.text
    assert small.samples.digest[:16] in page.text
    assert re.search(r"torch \d", page.text)
    assert '{"suite": "<small>"}' in page.text


def test_controls_have_names_and_links_have_targets(html, page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert link["href"].removeprefix("#") in ids
    assert all("alt" in image for image in page.all("img"))
    for _, attributes in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(name, ids[0]) in ids
    used = set(re.findall(r'\$\("([a-z-]+)"\)', page.scripts[1]))
    assert used <= set(ids)


def test_figures_are_inlined(changed, tmp_path):
    Image.new("RGB", (400, 200), "white").save(tmp_path / "matrix.png")
    page = Page(write_page(changed(figures={"matrix": tmp_path / "matrix.png"}), tmp_path / "page.html").read_text())
    (image,) = [one for one in page.all("img") if one.get("width")]
    assert base64.b64decode(image["src"].split(",")[1]) == (tmp_path / "matrix.png").read_bytes()
    assert (image["width"], image["height"]) == ("200", "100")
    assert image["alt"].startswith("matrix: Heatmap")


def test_a_run_without_tests_says_so_and_shows_the_best_layers(changed, tmp_path):
    run = changed(selection=None, competence=None)
    page = Page(write_page(run, tmp_path / "page.html").read_text())
    assert "Scores are not tested" in page.text
    best = run.alignment.best()
    best = best[best.metric == run.metrics[0].id].set_index(["x_model", "y_model"])
    found = json.loads(page.scripts[0])
    names = [model["name"] for model in found["models"]]
    for pair in found["pairs"][:4]:
        row = best.loc[(names[pair["x"]], names[pair["y"]])]
        assert (pair["xl"], pair["yl"], pair["p_value"]) == (row.x_layer, row.y_layer, None)


def test_without_a_neighbour_metric_the_explorer_takes_its_own_k(changed, small):
    run = changed(metrics=[small.metrics[1]])
    found = dissect(run)
    assert {graph.shape[1] for one in found.values() for graph in one.graphs.values()} == {10}


def test_a_metric_without_scores_is_left_out(changed, small, tmp_path):
    run = changed(metrics=[build("rsa"), *small.metrics])
    data = json.loads(Page(write_page(run, tmp_path / "page.html").read_text()).scripts[0])
    assert [one["id"] for one in data["metrics"]] == [one.id for one in small.metrics]


def test_of_many_samples_the_first_are_explored(small, changed, monkeypatch, tmp_path):
    monkeypatch.setattr(payload, "MOST_SAMPLES", 40)
    data = json.loads(Page(write_page(small, tmp_path / "page.html").read_text()).scripts[0])["explorer"]
    assert (len(data["ids"]), len(data["pictures"]), data["total"]) == (40, 40, N)
    graphs = unpack(data["graphs"]["l0"]["2"], 40, 5)
    x = torch.nn.functional.normalize(clamped(small.by_name["l0"], 40)[2])
    assert (graphs == (x @ x.T).fill_diagonal_(-2).topk(5).indices.numpy()).all()


def clamped(features, n):
    layers = [features.load(i, rows=slice(0, n)) for i in range(len(features.layers))]
    values = torch.cat([layer.abs().flatten() for layer in layers]).sort().values
    threshold = values[int(0.95 * len(values))].item()
    return [layer.clamp(-threshold, threshold) for layer in layers]


def test_a_thousand_samples_stay_below_fifteen_megabytes(tmp_path):
    run = make_run(tmp_path, n=1024, permutations=0, metrics=("mutual_knn",), depth=2)
    grain = torch.randint(0, 256, (24, 24, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).numpy()
    photograph = Image.fromarray(grain).resize((160, 120), Image.Resampling.BICUBIC)
    object.__setattr__(run, "picture", lambda index: photograph.rotate(index))
    size = write_page(run, tmp_path / "page.html").stat().st_size
    assert 1024 * 500 < size < 15e6


def test_a_run_without_scores_is_refused(changed, small, tmp_path):
    with pytest.raises(StoreError, match="no score of these models by these metrics. Run `platorep align`"):
        write_page(changed(alignment=AlignmentTable(small.alignment.frame.iloc[:0])), tmp_path / "page.html")
