"""The page in a real browser: headless Chromium opens it from disk and is driven by keys and clicks."""

from __future__ import annotations

import json
import shutil

import pytest

from platorep.align import neighbour_graphs
from platorep.report import write_page
from tests.report.conftest import HOSTILE, N, make_run


pytestmark = pytest.mark.browser

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="module")
def driver(whole, tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    path = write_page(whole, folder / "page.html")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.get(path.as_uri())
    yield driver
    driver.quit()


@pytest.fixture
def page(driver):
    """The page as freshly opened, wide and light."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    driver.refresh()
    return driver


def js(page, code, *arguments):
    return page.execute_script(f"return {code}", *arguments)


def text(page, selector):
    return js(page, "document.querySelector(arguments[0]).textContent", selector)


def texts(page, selector):
    return js(page, "[...document.querySelectorAll(arguments[0])].map(one => one.textContent)", selector)


def click(page, selector):
    page.execute_script("document.querySelector(arguments[0]).click()", selector)


def press(page, *keys):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    for key in keys:
        ActionChains(page).send_keys(getattr(Keys, key, key)).perform()


def focus(page, selector):
    page.execute_script("document.querySelector(arguments[0]).focus()", selector)


def choose(page, selector, value):
    page.execute_script("document.querySelector(arguments[0]).value = arguments[1]", selector, value)
    for event in ("change", "input"):
        page.execute_script(
            "document.querySelector(arguments[0]).dispatchEvent(new Event(arguments[1]))", selector, event
        )


def contents(page):
    return json.loads(text(page, "#data"))


def test_it_opens_from_disk_without_an_error_or_a_request(page):
    page.get_log("browser")
    page.refresh()
    assert page.get_log("browser") == []
    assert (
        js(
            page,
            "performance.getEntriesByType('resource').map(one => one.name).filter(one => !one.startsWith('data:'))",
        )
        == []
    )
    assert js(page, "document.querySelectorAll('#matrix-table td[role=gridcell]').length") == 4


def test_hostile_captions_are_shown_and_not_run(page):
    page.execute_script(
        "[...document.querySelectorAll('#samples [role=option]')].slice(0, 4).forEach(one => one.click())"
    )
    for i, hostile in enumerate(HOSTILE):
        click(page, f"#samples [data-sample='{i}']")
        assert text(page, "#caption") == hostile
    assert page.title == "small <suite> on toy · platorep"
    assert js(page, "document.querySelectorAll('script').length") == 2


def test_no_other_script_can_run(page):
    page.execute_script(
        "const s = document.createElement('script'); "
        "s.textContent = \"document.title = 'broken in'\"; document.body.append(s)"
    )
    assert page.title != "broken in"


def test_the_matrix_sorts_by_a_model_and_back(page):
    def row(number):
        return [float(one) for one in texts(page, f"#matrix-table tbody tr:nth-child({number}) td")]

    before = row(1)
    order = sorted(before, reverse=True)
    click(page, "#matrix-table tbody tr:nth-child(1) th button")
    assert row(1) == order
    click(page, "#matrix-table tbody tr:nth-child(1) th button")
    assert row(1) == order[::-1]
    assert js(page, "document.querySelector('#matrix-table tbody th').getAttribute('aria-sort')") == "ascending"
    click(page, "#unsort")
    assert row(1) == before


def test_arrow_keys_and_enter_choose_a_pair_in_the_matrix(page):
    focus(page, "#matrix-table td[aria-selected=true]")
    press(page, "ARROW_DOWN", "ARROW_DOWN", "ARROW_RIGHT", "ARROW_RIGHT")  # stops at the last cell
    at = js(page, "[document.activeElement.dataset.row, document.activeElement.dataset.column].map(Number)")
    assert at == [1, 3]
    assert text(page, "#matrix-said").startswith("l1 × v1: ")
    press(page, "ENTER")
    assert texts(page, ".column h4") == ["l1", "v1"]
    assert js(page, "document.querySelectorAll('#matrix-table td[aria-selected=true]').length") == 1
    assert js(page, "document.getElementById('pair-x').value") == "1"


def test_the_layer_map_reads_cell_by_cell(page, small):
    data = contents(page)
    choose(page, "#pair-x", "0")
    choose(page, "#pair-y", "3")
    pair = next(one for one in data["pairs"] if (one["metric"], one["x"], one["y"]) == (0, 0, 3))
    assert text(page, "#layer-said").startswith("Chosen: l0, ")
    assert text(page, "#layer-said").endswith(f": {pair['score']:.3f}")
    focus(page, "#layer-map")
    press(page, *["ARROW_LEFT"] * 4, *["ARROW_DOWN"] * 4, "ARROW_RIGHT")
    frame = small.alignment.frame[small.alignment.frame.metric == small.metrics[0].id]
    score = frame[
        (frame.x_model == "l0") & (frame.y_model == "v1") & (frame.x_layer == 0) & (frame.y_layer == 1)
    ].score.iloc[0]
    assert text(page, "#layer-said") == f"l0, layer 0 (block.0) × v1, layer 1 (block.1): {score:.3f}"


def test_the_layer_map_is_painted(page):
    code = """
        const canvas = document.getElementById('layer-map'), found = new Set();
        const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) if (data[i + 3]) found.add(data.slice(i, i + 3).join());
        return found.size;
    """
    assert page.execute_script(code) > 16


def test_neighbours_and_shared_marks_are_those_of_the_models(page, small):
    data = contents(page)
    pair = next(one for one in data["pairs"] if (one["metric"], one["x"], one["y"]) == (0, 1, 2))
    choose(page, "#pair-x", "1")
    choose(page, "#pair-y", "2")
    click(page, "#samples [data-sample='30']")
    graphs = [
        neighbour_graphs(small.by_name[name], 5)[pair[layer]][30].tolist()
        for name, layer in (("l1", "xl"), ("v0", "yl"))
    ]
    columns = [
        [
            int(i)
            for i in js(
                page, f"[...document.querySelectorAll('.column:nth-child({c}) .near')].map(n => n.dataset.sample)"
            )
        ]
        for c in (1, 2)
    ]
    assert columns == graphs
    shared = set(graphs[0]) & set(graphs[1])
    assert {
        int(i) for i in js(page, "[...document.querySelectorAll('.near.shared')].map(n => n.dataset.sample)")
    } == shared
    assert text(page, "#agreement").startswith(
        f"l1 and v0 share {len(shared)} of 5 · mean over samples {pair['score']:.3f}, chance {5 / (N - 1):.3f}"
    )
    first = small.samples.captions[graphs[0][0]][0]
    assert texts(page, ".near .text")[0].endswith(first)


def test_a_third_model_stands_beside_and_the_last_layer_can_be_shown(page, small):
    click(page, "#samples [data-sample='30']")
    for i in range(4):
        if not js(page, f"document.querySelectorAll('#chips input')[{i}].checked"):
            page.execute_script(f"document.querySelectorAll('#chips input')[{i}].click()")
    assert sorted(texts(page, ".column h4")) == ["l0", "l1", "v0", "v1"]
    assert any(one.startswith("◆ shared by ") and " of 4" in one for one in texts(page, ".badge"))
    choose(page, "#layer-rule", "last")
    assert set(texts(page, ".column p")) == {"layer 2 (block.2), last"}
    name = texts(page, ".column h4")[0]
    shown = [
        int(i)
        for i in js(page, "[...document.querySelectorAll('.column:nth-child(1) .near')].map(n => n.dataset.sample)")
    ]
    assert shown == neighbour_graphs(small.by_name[name], 5)[2][30].tolist()


def test_a_neighbour_becomes_the_sample(page):
    target = int(js(page, "document.querySelector('.near').dataset.sample"))
    click(page, ".near")
    assert js(page, "document.querySelector('#samples [aria-selected=true]').dataset.sample") == str(target)
    click(page, "#next")
    assert js(page, "document.querySelector('#samples [aria-selected=true]').dataset.sample") == str((target + 1) % N)


def test_search_finds_all_words_in_captions_ids_and_categories(page, small):
    choose(page, "#search", "KIND 3 thing")
    wanted = [i for i in range(len(HOSTILE), N) if "kind 3" in small.samples.captions[i][0]]
    shown = [
        int(i) for i in js(page, "[...document.querySelectorAll('#samples [role=option]')].map(n => n.dataset.sample)")
    ]
    assert set(wanted) <= set(shown)
    assert text(page, "#found") == f"{len(shown)} of {N} samples"
    assert js(page, "document.querySelector('#samples [aria-selected=true]').dataset.sample") == str(shown[0])
    choose(page, "#search", "no such thing at all")
    assert text(page, "#found") == f"0 of {N} samples"


def test_samples_are_ordered_by_what_the_models_share(page):
    choose(page, "#order", "most")
    counts = [int(one.split("/")[0]) for one in texts(page, "#samples .count")]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
    choose(page, "#order", "least")
    assert [int(one.split("/")[0]) for one in texts(page, "#samples .count")] == sorted(counts)


def test_arrow_keys_walk_through_the_samples(page):
    focus(page, "#samples [aria-selected=true]")
    press(page, "ARROW_RIGHT", "ARROW_RIGHT", "ARROW_LEFT")
    assert js(page, "document.activeElement.dataset.sample") == "1"
    assert text(page, "#caption") == HOSTILE[1]
    press(page, "END")
    assert js(page, "document.activeElement.dataset.sample") == str(N - 1)


def test_tab_reaches_every_part_in_the_order_of_the_page_and_the_focus_shows(page):
    press(page, "TAB")
    assert js(page, "document.activeElement.className") == "skip"
    seen = []
    for _ in range(1000):
        press(page, "TAB")
        if js(page, "document.activeElement === document.body"):
            break  # past the last one
        where = js(
            page,
            "document.activeElement.closest('section[id]')?.id ?? "
            "document.activeElement.closest('nav, header')?.tagName",
        )
        outline = js(
            page,
            "getComputedStyle(document.activeElement.closest('.chips label') ?? document.activeElement).outlineStyle",
        )
        assert outline != "none", js(page, "document.activeElement.outerHTML.slice(0, 80)")
        if where not in seen:
            seen.append(where)
    parts = ["warnings", "matrix", "layers", "explorer", "units", "statistics", "translation", "provenance"]
    assert seen == ["NAV", *parts]


def test_statistics_sort_by_a_column(page):
    click(page, "#statistics-table thead th:nth-child(5) button")
    scores = [float(one) for one in texts(page, "#statistics-table tbody td:nth-child(5)")]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_needs_sideways_scrolling(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    assert js(page, "document.documentElement.scrollWidth") <= width


CONTRAST = """
const linear = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = c => c.slice(0, 3).reduce((sum, v, i) => sum + linear(v) * [.2126, .7152, .0722][i], 0);
const rgb = text => text.match(/[\\d.]+/g).map(Number), found = [];
for (const e of document.querySelectorAll('body *')) {
  const says = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!e.checkVisibility() || !says || /SCRIPT|STYLE|OPTION/.test(e.tagName)) continue;
  let back = e;
  while (back && (rgb(getComputedStyle(back).backgroundColor)[3] ?? 1) < .5) back = back.parentElement;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), back ? light(rgb(getComputedStyle(back).backgroundColor)) : 1];
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) found.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio]);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(page, scheme):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    assert page.execute_script(CONTRAST) == []


def test_matched_units_stand_side_by_side_with_their_samples(page, whole):
    sets = contents(page)["units"]
    assert len(js(page, "[...document.querySelectorAll('.unit-sets > li')].map(one => one.childElementCount)")) == len(
        sets
    )
    first = sets[0]["members"]
    assert texts(page, ".unit-sets > li:first-child h4") == [whole.models[member["model"]] for member in first]
    shown = js(
        page, "[...document.querySelectorAll('.unit-sets > li:first-child .top')].map(one => +one.dataset.sample)"
    )
    assert shown == [sample for member in first for sample in member["samples"]]
    painted = "[...document.querySelectorAll('.unit-sets img, .unit-sets canvas')].length"
    assert js(page, painted) == sum(len(member["samples"]) for group in sets for member in group["members"])
    click(page, ".unit-sets > li:first-child .top:nth-child(2)")
    chosen = whole.samples.captions[first[0]["samples"][1]][0]
    assert js(page, "document.querySelector('#picture').alt") == chosen  # the explorer shows the sample


def test_the_table_of_maps_says_that_it_is_no_alignment(page):
    assert "Translatability, not alignment" in text(page, "#translation")
    assert texts(page, "#translation tbody tr:first-child th") == ["l0", "v0"]
    assert texts(page, "#translation tbody tr:first-child strong") == ["0.500"]


def test_models_compared_all_with_all_make_a_symmetric_matrix(page, tmp_path):
    run = make_run(tmp_path, kind="all", permutations=0, metrics=("mutual_knn",))
    opened = page.current_url
    page.get_log("browser")
    page.get(write_page(run, tmp_path / "all.html").as_uri())
    cells = texts(page, "#matrix-table tbody td")
    assert len(cells) == 16
    assert cells[0] == ""
    assert cells[1] == cells[4] != ""
    page.execute_script("document.querySelectorAll('#matrix-table tbody td')[4].click()")
    assert texts(page, ".column h4") == ["l0", "l1"]
    assert js(page, "document.querySelectorAll('#matrix-table td[aria-selected=true]').length") == 2
    choose(page, "#pair-x", "3")
    assert sorted(texts(page, ".column h4")) == ["l1", "v1"]
    assert page.get_log("browser") == []
    page.get(opened)


def test_print_leaves_out_the_controls(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    for selector in (".picker", ".chips", "nav", ".controls"):
        assert js(page, "getComputedStyle(document.querySelector(arguments[0])).display", selector) == "none"
    assert js(page, "document.querySelector('.neighbours').checkVisibility()")
