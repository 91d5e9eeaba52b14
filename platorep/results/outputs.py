"""Access to a folder of results: runs, tables, features, samples.

outputs = platorep.load("outputs")
outputs.runs                                     # a row per run, with its overrides
outputs.scores(metric="mutual_knn")              # alignment: scores of the chosen layers
outputs.translation()                            # scores of maps between models
outputs.units()                                  # shares of matched units
outputs.brains()                                 # models against brains
outputs.basin(), outputs.stitching()             # lines between networks, and layers in the place of others
x, ids = outputs.features("lite2", layer=-1)     # an array and the sample ids of its rows

The tables follow one rule: a DataFrame with the rows of every finished run, see `Outputs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.core.files import read_json
from platorep.core.store import FeatureSet, FeatureStore
from platorep.results.basin import BasinTable
from platorep.results.brains import BrainTable
from platorep.results.stitching import StitchingTable
from platorep.results.tables import SelectionTable, Table
from platorep.results.translation import TranslationTable
from platorep.results.units import ShareTable
from platorep.results.views import metric_parameters


WRITTEN = {
    SelectionTable: re.compile(r"alignment/[^/]+/selected/[^/]+\.parquet"),
    TranslationTable: re.compile(r"translation/[^/]+/[^/]+\.parquet"),
    ShareTable: re.compile(r"units/[^/]+/[^/]+(?<!\.units)\.parquet"),
    BrainTable: re.compile(r"brains/[^/]+/[^/]+\.parquet"),
    BasinTable: re.compile(r"basin/[^/]+/[^/]+\.parquet"),
    StitchingTable: re.compile(r"stitching/[^/]+/[^/]+\.parquet"),
}
"""Where the tables lie below the root."""


class Outputs:
    """The results under one root folder, as the command line writes them.

    `scores`, `translation`, `units`, `brains`, `basin` and `stitching` read tables, all alike: a DataFrame with the
    rows of every finished run, the latest run last. Its columns are those of the table (docs/tables.md), then `run`,
    the folder of the run as in `runs`, then one column per override of the command line (`only`, `translation.draws`,
    ...), missing where a run did not have it. Where two runs left the same file, its rows come once, as those of the
    later run. A run whose tables were removed is passed over. Views take such a frame:

        TranslationTable(outputs.translation()).summary()    # platorep.results.translation
        ShareTable(outputs.units()).matrix("shared")         # platorep.results.units

    and refuse rows of several runs where a mean would mix their settings.

    Args:
        root: the folder, "outputs" unless a run said otherwise.

    Raises:
        StoreError: there is no such folder.
    """

    def __init__(self, root: Path | str = "outputs") -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise StoreError(f"{self.root} is not a folder. Give the root of a run, such as outputs.")

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run, the oldest first: run, command, status, time, seconds, overrides, results."""
        rows = [
            {
                "run": path.parent.relative_to(self.root).as_posix(),
                "command": status["task"],
                "status": status.get("status", "killed"),
                "time": status["provenance"]["time"],
                "seconds": status.get("seconds"),
                "overrides": " ".join(status["overrides"]),
                "results": status.get("results", []),
            }
            for path, status in self._statuses()
        ]
        columns = ["run", "command", "status", "time", "seconds", "overrides", "results"]
        return pd.DataFrame(rows, columns=columns).sort_values("time", kind="stable", ignore_index=True)

    def scores(
        self, *, metric: str | None = None, protocol: str | None = None, dataset: str | None = None
    ) -> pd.DataFrame:
        """Scores of the chosen layers with nulls and intervals: columns of `SelectionTable`.

        Args:
            metric: a metric's name or full id; all by default.
            protocol: how layers were chosen: max, heldout, last, depth:0.5; all by default.
            dataset: a dataset's name, with or without its key; all by default.

        Raises:
            StoreError: no run has left scores.
        """
        scores = self._of_runs(SelectionTable, "scores", "`platorep run` or `platorep align`")
        if metric is not None:
            scores = scores[[metric in (name, metric_parameters(name)[0]) for name in scores.metric]]
        if protocol is not None:
            scores = scores[scores["select"] == protocol]
        return _of_dataset(scores, dataset)

    def translation(self, *, dataset: str | None = None) -> pd.DataFrame:
        """Scores of maps between models, split by split: columns of `TranslationTable`.

        Args:
            dataset: a dataset's name, with or without its key; all by default.

        Raises:
            StoreError: no run has left scores of maps.
        """
        return _of_dataset(self._of_runs(TranslationTable, "scores of maps", "`platorep translate`"), dataset)

    def units(self, *, dataset: str | None = None) -> pd.DataFrame:
        """Shares of matched units: columns of `ShareTable`.

        The table of every single unit is beside each file: `pandas.read_parquet` of NAME.units.parquet.

        Args:
            dataset: a dataset's name, with or without its key; all by default.

        Raises:
            StoreError: no run has left shares of units.
        """
        return _of_dataset(self._of_runs(ShareTable, "shares of units", "`platorep units`"), dataset)

    def brains(self, *, dataset: str | None = None) -> pd.DataFrame:
        """Similarity of models to brains, and the brains' reliability: columns of `BrainTable`.

        Args:
            dataset: a dataset's name, with or without its key; all by default.

        Raises:
            StoreError: no run has left comparisons with brains.
        """
        return _of_dataset(self._of_runs(BrainTable, "comparisons with brains", "`platorep reproduce brains`"), dataset)

    def basin(self, *, dataset: str | None = None) -> pd.DataFrame:
        """Lines between networks trained here, soups and kernel scores: columns of `BasinTable`.

        Args:
            dataset: name of the test pictures; all by default.

        Raises:
            StoreError: no run has left lines between networks.
        """
        return _of_dataset(self._of_runs(BasinTable, "lines between networks", "`platorep basin`"), dataset)

    def stitching(self, *, dataset: str | None = None) -> pd.DataFrame:
        """Scores of stitched networks with their controls: columns of `StitchingTable`.

        Args:
            dataset: name of the test pictures; all by default.

        Raises:
            StoreError: no run has left scores of stitched networks.
        """
        return _of_dataset(self._of_runs(StitchingTable, "scores of stitched networks", "`platorep stitch`"), dataset)

    def features(
        self, model: str, layer: int | str = -1, *, dataset: str | None = None
    ) -> tuple[np.ndarray, list[str]]:
        """One layer of one model as a float32 array, shape (n, d), and the sample ids of its rows.

        Args:
            model: name of the model.
            layer: index in depth order, negative from the end, or the layer's name.
            dataset: name of the dataset, with or without its key; needed where the model is stored on several.

        Raises:
            UnknownNameError: no such model.
            StoreError: several extractions fit.
        """
        stored = [features for features in self._store.find() if features.name == model]
        if dataset is not None:
            stored = [f for f in stored if dataset in (f.dataset, f.spec.dataset.name)]
        if not stored:
            raise unknown_name("stored model", model, {features.name for features in self._store.find()})
        if len(stored) > 1:
            names = ", ".join(f"{features.dataset}/{features.path.name}" for features in stored)
            raise StoreError(
                f"{len(stored)} extractions of {model} fit: {names}. Say which dataset=..., or remove one."
            )
        chosen: FeatureSet = stored[0]
        return chosen.load(layer).numpy(), self._store.read_samples(chosen.path.parent).ids

    def samples(self, dataset: str | None = None) -> pd.DataFrame:
        """The samples of a dataset in order: id, caption (the first), captions, category.

        Raises:
            StoreError: no such dataset, or several and none is named.
        """
        folders = sorted(path.parent for path in self._store.root.glob("*/samples.json"))
        if dataset is not None:
            named = [folder for folder, _ in self._store.datasets(dataset)]
            folders = [folder for folder in folders if folder.name == dataset or folder in named]
        if len(folders) != 1:
            names = ", ".join(folder.name for folder in folders) or "none"
            raise StoreError(f"{len(folders)} stored datasets fit under {self._store.root}: {names}. Name one.")
        samples = self._store.read_samples(folders[0])
        frame = pd.DataFrame({"id": samples.ids, "caption": [captions[0] for captions in samples.captions]})
        return frame.assign(captions=samples.captions, category=samples.categories)

    def _of_runs(self, kind: type[Table], title: str, command: str) -> pd.DataFrame:
        """The tables of one kind that finished runs left, each once, with `run` and the overrides of its last run.

        Args:
            kind: of the tables, a key of `WRITTEN`.
            title: what they hold, for the message.
            command: writes them.

        Raises:
            StoreError: there are none.
        """
        tables: dict[str, pd.DataFrame] = {}
        for path, status in self._statuses():
            overrides = dict(_override(word) for word in status["overrides"] if "=" in word)
            for result in status.get("results", []):
                if WRITTEN[kind].fullmatch(result) and (self.root / result).is_file():
                    frame = kind.load([self.root / result]).frame
                    known = {"run": path.parent.relative_to(self.root).as_posix()} | overrides
                    tables.pop(result, None)  # the later run takes its place in the order
                    tables[result] = frame.assign(**{name: known[name] for name in known if name not in frame})
        if not tables:
            raise StoreError(f"no run under {self.root} has left {title}. Run {command} first.")
        return pd.concat(tables.values(), ignore_index=True)

    @property
    def _store(self) -> FeatureStore:
        return FeatureStore(self.root / "features")

    def _statuses(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        paths = [(path, read_json(path)) for path in self.root.glob("runs/**/status.json")]
        yield from sorted(paths, key=lambda pair: (pair[1]["provenance"]["time"], str(pair[0])))

    def __repr__(self) -> str:
        return f"Outputs({str(self.root)!r}): {len(self.runs)} runs, {sum(1 for _ in self._store.find())} extractions"

    def _repr_html_(self) -> str:
        return self.runs.drop(columns="results").to_html(index=False)


def _of_dataset(rows: pd.DataFrame, dataset: str | None) -> pd.DataFrame:
    """The rows of a dataset, named with or without its key; all for None."""
    if dataset is not None:
        rows = rows[[dataset in (name, name.rpartition("--")[0]) for name in rows.dataset]]
    return rows.reset_index(drop=True)


def _override(word: str) -> tuple[str, str]:
    name, _, value = word.lstrip("+").partition("=")
    return name, value
