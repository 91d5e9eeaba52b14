"""Access to a folder of results: runs, scores, features, samples.

outputs = platorep.load("outputs")
outputs.runs                                     # a row per run, with its overrides
outputs.units()                                  # shares of matched units
outputs.scores(metric="mutual_knn")              # chosen layers' scores, with each run's overrides as columns
outputs.translation().summary()                  # what maps between models carry: the last `platorep translate`
x, ids = outputs.features("lite2", layer=-1)     # an array and the sample ids of its rows
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from platorep.core.errors import StoreError, unknown_name
from platorep.core.files import read_json
from platorep.core.store import FeatureSet, FeatureStore
from platorep.results.tables import SelectionTable, _Table
from platorep.results.translation import TranslationTable
from platorep.results.units import ShareTable
from platorep.results.views import metric_parameters


class Outputs:
    """The results under one root folder, as the command line writes them.

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
        """The chosen layers' scores of every finished run, with nulls and intervals: columns of `SelectionTable`.

        Each run's overrides are columns of their own behind these (`protocol`, `metric.mutual_knn.k`, ...), empty where
        a run did not say. Two runs with the same result give its rows once, with the overrides of the later run.

        Args:
            metric: a metric's name or full id; all by default.
            protocol: how layers were chosen: max, heldout, last, depth:0.5; all by default.
            dataset: a dataset's name, with or without its key; all by default.

        Raises:
            StoreError: no run has left scores.
        """
        tables = self._of_runs(SelectionTable, "/selected/")
        if not tables:
            raise StoreError(f"no run under {self.root} has left scores. Run `platorep run` or `platorep align` first.")
        scores = pd.concat(tables, ignore_index=True)
        if metric is not None:
            scores = scores[[metric in (name, metric_parameters(name)[0]) for name in scores.metric]]
        if protocol is not None:
            scores = scores[scores["select"] == protocol]
        if dataset is not None:
            scores = scores[[dataset in (name, name.rpartition("--")[0]) for name in scores.dataset]]
        return scores.reset_index(drop=True)

    def units(self) -> pd.DataFrame:
        """Shares of matched units of every finished run of `platorep units`: columns of `ShareTable`, and overrides.

        The table of single units is in the same folder: `pandas.read_parquet` of NAME.units.parquet.

        Raises:
            StoreError: no run has left shares.
        """
        tables = self._of_runs(ShareTable, "units/", ".units.parquet")
        if not tables:
            raise StoreError(f"no run under {self.root} has left shares of units. Run `platorep units` first.")
        return pd.concat(tables, ignore_index=True)

    def translation(self) -> TranslationTable:
        """The table of the last `platorep translate`: scores of maps by split; `.summary()` has means over splits.

        Raises:
            StoreError: no run has left one.
        """
        results = [result for _, status in self._statuses() for result in status.get("results", [])]
        tables = [self.root / result for result in results if result.startswith("translation/")]
        paths = [path for path in tables if path.is_file() and path.suffix == ".parquet"]
        if not paths:
            raise StoreError(f"no run under {self.root} has left a table of maps. Run `platorep translate` first.")
        return TranslationTable.load(paths[-1:])

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

    def _of_runs(self, kind: type[_Table], within: str, without: str = "\0") -> list[pd.DataFrame]:
        """The tables that finished runs left, each once, with the overrides of the last run that left it as columns.

        Args:
            kind: of the tables.
            within: text that the path of a result contains.
            without: text that it does not contain.
        """
        tables: dict[str, pd.DataFrame] = {}
        for _, status in self._statuses():
            overrides = dict(_override(word) for word in status["overrides"] if "=" in word)
            for result in status.get("results", []):
                fits = within in result and without not in result and result.endswith(".parquet")
                if fits and (self.root / result).is_file():
                    frame = kind.load([self.root / result]).frame
                    new = {name: value for name, value in overrides.items() if name not in frame}
                    tables[result] = frame.assign(**new)
        return list(tables.values())

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


def _override(word: str) -> tuple[str, str]:
    name, _, value = word.lstrip("+").partition("=")
    return name, value
