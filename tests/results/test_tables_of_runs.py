"""Tables of finished runs are read back alike, whichever command wrote them; views refuse a mixture of settings."""

from __future__ import annotations

import pytest

import platorep
from platorep.core.errors import StoreError
from platorep.core.files import write_json
from platorep.results.basin import BasinTable
from platorep.results.brains import BrainTable
from platorep.results.outputs import WRITTEN
from platorep.results.stitching import StitchingTable
from platorep.results.tables import SelectionTable
from platorep.results.translation import TranslationTable, at_all_anchors
from platorep.results.units import ShareTable
from tests.figures.samples import brain_scores, intervals
from tests.figures.tables import cross, translations, unit_shares
from tests.figures.test_basin import table as basins
from tests.figures.test_stitching import table as stitched


SCORES = {("orthogonal", 8): 0.2, ("orthogonal", 60): 0.5}
TABLES = {
    "scores": ("alignment/d/selected", SelectionTable, intervals(cross({("l", "v"): 0.3}))),
    "translation": ("translation/d", TranslationTable, translations({("a", "v"): 1.0}, SCORES, splits=2)),
    "units": ("units/d", ShareTable, unit_shares({"a": ("f", 1e6, 0.3), "b": ("f", 2e6, 0.2)})),
    "brains": ("brains/d", BrainTable, brain_scores()),
    "basin": ("basin/d", BasinTable, basins()),
    "stitching": ("stitching/d", StitchingTable, stitched()),
}  # fmt: skip
VIEWS = [
    lambda outputs: TranslationTable(outputs.translation()).summary(),
    lambda outputs: TranslationTable(outputs.translation()).steps(),
    lambda outputs: TranslationTable(outputs.translation()).compare("orthogonal", "orthogonal"),
    lambda outputs: at_all_anchors(TranslationTable(outputs.translation()), "recall_at_10"),
    lambda outputs: ShareTable(outputs.units()).matrix("shared"),
    lambda outputs: ShareTable(outputs.units()).by_model("shared"),
    lambda outputs: BrainTable(outputs.brains()).best(),
    lambda outputs: BasinTable(outputs.basin()).means(),
    lambda outputs: BasinTable(outputs.basin()).kernels(),
    lambda outputs: StitchingTable(outputs.stitching()).cells("direct"),
    lambda outputs: StitchingTable(outputs.stitching()).specificity("task"),
    lambda outputs: StitchingTable(outputs.stitching()).both_ways("direct"),
]


def leave(root, time: str, method: str, name: str, *overrides: str, status: str = "ok") -> str:
    """A run that left one table; returns its folder below the root."""
    folder, _, table = TABLES[method]
    result = f"{folder}/{name}.parquet"
    table.write(root / result)
    run = f"runs/{method}/{time}"
    record = {"task": method, "status": status, "overrides": list(overrides), "provenance": {"time": time}}
    write_json(root / run / "status.json", record | ({"results": [result]} if status == "ok" else {}))
    return run


@pytest.mark.parametrize("method", TABLES)
def test_rows_of_all_runs_come_with_run_and_overrides_the_latest_last(method, tmp_path):
    _, kind, table = TABLES[method]
    first = leave(tmp_path, "1", method, "one", "only=[a]")
    leave(tmp_path, "2", method, "two", "seed=3", "only=[b]")
    leave(tmp_path, "3", method, "one", "only=[a]", "+more=1")
    leave(tmp_path, "4", method, "three", status="failed")
    rows = getattr(platorep.load(tmp_path), method)()
    assert list(rows.columns) == [*kind.columns, "run", "only", "more"]  # seed is a column of the table
    assert list(rows.run.unique()) == [f"runs/{method}/2", f"runs/{method}/3"]
    assert first not in set(rows.run)  # its file is that of the later run
    assert len(rows) == 2 * len(table.frame)
    assert rows.only.unique().tolist() == ["[b]", "[a]"]
    assert rows.more.isna().sum() == len(table.frame)
    again = kind.from_frame(rows[rows.run == rows.run.iloc[-1]][list(kind.columns)])
    assert again.frame.equals(table.frame)
    (tmp_path / TABLES[method][0] / "two.parquet").unlink()
    assert len(getattr(platorep.load(tmp_path), method)()) == len(table.frame)


@pytest.mark.parametrize("method", TABLES)
def test_a_dataset_is_chosen_by_name_and_an_empty_root_says_what_to_run(method, tmp_path):
    with pytest.raises(StoreError, match="no run under .* has left .* Run `platorep .*` first"):
        getattr(platorep.load(tmp_path), method)()
    leave(tmp_path, "1", method, "one")
    read = getattr(platorep.load(tmp_path), method)
    name = read().dataset.iloc[0]
    assert len(read(dataset=name)) == len(read(dataset=name.partition("--")[0])) == len(read())
    assert read(dataset="elsewhere").empty


def test_no_file_is_taken_for_a_table_of_another_kind():
    written = ["alignment/d/selected/a.parquet", "translation/d/a.parquet", "units/d/a.parquet", "brains/d/a.parquet",
               "basin/d/a.parquet", "stitching/d/a.parquet"]  # fmt: skip
    written += ["units/d/a.units.parquet", "alignment/d/a.parquet", "figures/units/a.parquet", "reproduce/brains--0"]
    taken = {kind: [path for path in written if pattern.fullmatch(path)] for kind, pattern in WRITTEN.items()}
    assert taken == {kind: [path] for kind, path in zip(WRITTEN, written, strict=False)}


@pytest.mark.parametrize("view", VIEWS)
def test_views_take_the_rows_of_one_run_and_refuse_those_of_several(view, tmp_path):
    for method in TABLES:
        leave(tmp_path, "1", method, "one")
    view(platorep.load(tmp_path))
    for method in TABLES:
        leave(tmp_path, "2", method, "two")
    with pytest.raises(StoreError, match="the table holds several .* by runs with other settings. Keep the rows of"):
        view(platorep.load(tmp_path))
