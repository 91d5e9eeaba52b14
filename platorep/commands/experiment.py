"""The experiment: models, data, scoring, resources, and paths of the results, as one typed object."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from platorep.commands import options
from platorep.commands.comparisons import compared
from platorep.commands.recipes import Probe, Recipe
from platorep.core.clamp import Clamp, ClipRule
from platorep.core.digest import digest
from platorep.core.errors import AmbiguousError, PlatorepError, StoreError
from platorep.core.files import slug
from platorep.core.lookup import find_dataset, find_features
from platorep.core.plugins import TARGET
from platorep.core.reading import settings_read
from platorep.core.resources import Resources, pick_device
from platorep.core.samples import Samples
from platorep.core.specs import CorpusSpec, DatasetSpec, ExtractSpec, ModelSpec
from platorep.core.store import FeatureStore
from platorep.core.stored import FeatureSet


if TYPE_CHECKING:
    import pandas as pd

    from platorep.metrics.base import Metric
    from platorep.metrics.ties import TieRule
    from platorep.results.tables import AlignmentTable, CompetenceTable, SelectionTable

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a command needs, built once from the resolved configuration.

    Features, pairs of models and tables are read from disk on first use and cached. `replace` returns a variant of the
    run whose cache is empty.

    Attributes:
        suite: name of the suite.
        models: specs in the suite's order.
        dataset: the pairs, as configured; the revision may be unresolved.
        resources: how to compute.
        reading: how a model reads a sample: the fields of ExtractSpec other than model and dataset.
        metric_options: parameters by metric name; a list stands for one metric per value.
        protocol: how the scores of layer pairs become one score per pair of models.
        statistics: nulls and intervals.
        root: folder of all results.
        figures: options by figure name.
        corpus: documents for bits per byte; None keeps what extraction measured on the captions.
        probe: linear probes; None for none.
        score_files: downstream scores to import.
        gallery: sizes and queries of `platorep gallery`.
        units: settings of `platorep units`.
        translation: samples and splits of `platorep translate`.
        basin, stitching: settings of `platorep basin` and `platorep stitch`.
        style: how figures look on paper.
        captions: how `platorep captions` summarises.
        recipe: what `platorep reproduce` adds.
        simulations: options by experiment of the theory.
        world: name and parameters of the theory's world; empty for the experiment's own.
        overwrite: recompute existing results.
        evict: remove downloaded weights after use.
        words: overrides of the command line, for the commands that the report prints.
        configuration: the resolved configuration as JSON text, for the report.
        present: dataset and models as `extract` has just resolved them; see `with_content`.
    """

    models: tuple[ModelSpec, ...]
    dataset: DatasetSpec
    resources: Resources
    suite: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)
    metric_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    protocol: options.Protocol = field(default_factory=options.Protocol)
    statistics: options.Statistics = field(default_factory=options.Statistics)
    root: Path = Path("outputs")
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    corpus: CorpusSpec | None = None
    probe: Probe | None = None
    score_files: tuple[Path, ...] = ()
    gallery: options.Gallery = field(default_factory=options.Gallery)
    units: options.Units = field(default_factory=options.Units)
    translation: options.Translation = field(default_factory=options.Translation)
    basin: options.Basin = field(default_factory=options.Basin)
    stitching: options.Stitching = field(default_factory=options.Stitching)
    style: options.Style = field(default_factory=options.Style)
    captions: options.Captions = field(default_factory=options.Captions)
    recipe: Recipe = field(default_factory=Recipe)
    simulations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    world: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    evict: bool = False
    words: tuple[str, ...] = ()
    configuration: str = ""
    present: tuple[DatasetSpec, Mapping[str, ModelSpec]] | None = None

    def replace(self, **changes: Any) -> Self:
        """A variant of the run with some fields changed and an empty cache.

        Variants with the same root share the store, so that each extraction is opened once. `present` is not passed on
        to a variant with another dataset.
        """
        if "dataset" in changes:
            changes.setdefault("present", None)
        variant = dataclasses.replace(self, **changes)
        if variant.root == self.root:
            variant.__dict__["store"] = self.store
        return variant

    @property
    def name(self) -> str:
        """Suite and dataset, for the names of files that cover both."""
        return f"{self.suite or 'models'}--{self.dataset.name}"

    @cached_property
    def label(self) -> str:
        """`name` with a hash of everything that a result depends on, so that configurations never overwrite each other.

        It covers models, data, how samples are read, metrics, protocol and statistics, but neither resources nor
        figures.
        """
        determines = {
            **self._measured,
            "metrics": {name: dict(options) for name, options in self.metric_options.items()},
            "protocol": dataclasses.asdict(self.protocol),
            "statistics": dataclasses.asdict(self.statistics),
        }
        if any(TARGET in options for options in self.metric_options.values()):  # their ids hold a hash of their code
            determines["ids"] = [metric.id for metric in self.metrics]
        return f"{slug(self.name)}--{digest(determines)}"

    @property
    def _measured(self) -> dict[str, Any]:
        """Models and data as configured, on which competence depends."""
        return {
            "models": [[model.name, model.identity()] for model in self.models],
            "dataset": self.dataset.identity(),
            "reading": dict(self.reading),
        }

    @property
    def clamp(self) -> Clamp:
        """How outlying values are clamped."""
        return Clamp(cast(ClipRule, self.protocol.clip), self.protocol.quantile)  # it refuses another rule

    @property
    def device(self) -> Any:
        """Where to compute, as a torch.device.

        Raises:
            SpecError: a device that this machine does not have.
        """
        return pick_device(self.resources.device)

    @cached_property
    def metrics(self) -> list[Metric]:
        """The configured metrics; metric.cknna.k=[10,50] stands for two."""
        from platorep.metrics.registry import build_all

        return build_all(self.metric_options, cast("TieRule", self.protocol.ties))  # metrics refuse another rule

    @cached_property
    def store(self) -> FeatureStore:
        """The stored features."""
        return FeatureStore(self.root / "features")

    def extract_spec(self, model: ModelSpec, dataset: DatasetSpec | None = None) -> ExtractSpec:
        """The spec for extracting one model here, on the experiment's dataset or another."""
        reading = settings_read(model.modality, self.reading)
        return ExtractSpec.from_dict({"model": model, "dataset": dataset or self.dataset, **reading})

    def known_samples(self, dataset: DatasetSpec) -> Samples | None:
        """The samples that an earlier run stored for a resolved dataset, so that no picture has to be decoded again."""
        return self.store.known_samples(dataset)

    @cached_property
    def dataset_folder(self) -> Path:
        """Folder of the stored dataset that fits the configured one.

        Raises:
            StoreError: no stored dataset fits, or several fit and none of them has the present content.
        """
        present = self.dataset if self.present is None else self.present[0]
        try:
            return find_dataset(self.store, present, _commit_of)
        except AmbiguousError:
            if (settled := self._settled_dataset) is None:
                raise
            return find_dataset(self.store, settled, _commit_of)

    @cached_property
    def _settled_dataset(self) -> DatasetSpec | None:
        """The dataset with the revision of its present content; None if it cannot be determined here.

        A folder that was edited between two runs is stored twice. The configuration refers to its present content.
        """
        from platorep.data import settled

        try:
            return settled(self.dataset)
        except PlatorepError:
            return None

    def with_content(self, dataset: DatasetSpec, models: Mapping[str, ModelSpec]) -> Self:
        """The experiment as `extract` has just resolved it: it refers to these contents, whatever else is stored.

        Args:
            dataset: with its resolved revision.
            models: by name, with their resolved revisions.
        """
        return self.replace(present=(dataset, models))

    @cached_property
    def samples(self) -> Samples:
        """The stored samples of the dataset."""
        return self.store.read_samples(self.dataset_folder)

    @cached_property
    def features(self) -> list[FeatureSet]:
        """The stored features of the suite's models, in its order; those that are not extracted are left out.

        Raises:
            StoreError: none of them is extracted, or the stored features do not fit the configuration.
        """
        stored = {model.name: self.find(model) for model in self.models}
        features = [extraction for extraction in stored.values() if extraction is not None]
        if not features:
            raise StoreError(
                f"none of the suite's models is extracted on {self.dataset.name} under {self.store.root}. "
                "Run `platorep extract` first."
            )
        if missing := [name for name, extraction in stored.items() if extraction is None]:
            log.warning("not extracted, left out: %s", ", ".join(missing))
        return features

    def find(self, model: ModelSpec) -> FeatureSet | None:
        """The stored features of one model on the dataset; None if it was never extracted on it.

        Raises:
            StoreError: the stored features do not fit the configuration, or several extractions fit and none of them
                has the present content.
        """
        dataset, models = self.present or (None, {})
        spec = self.extract_spec(models.get(model.name, model), dataset)
        try:
            return find_features(self.store, spec, _commit_of)
        except AmbiguousError:
            from platorep.models import resolve

            settled = None
            with suppress(PlatorepError):
                settled = self.extract_spec(resolve(model, self.device), dataset or self._settled_dataset)
            if settled is None or not self.store.has(settled):
                raise
            return self.store.open(settled)

    @cached_property
    def pairs(self) -> list[tuple[FeatureSet, FeatureSet]]:
        """The pairs of stored models that `protocol.pairs` selects: each once, and no model with itself.

        Raises:
            SpecError: `protocol.pairs` is unknown.
            DataError: "cross" is selected, but there are not two modalities.
        """
        return compared(self.features, self.protocol.pairs)

    @property
    def alignment_folder(self) -> Path:
        """Folder of the scores on the dataset."""
        return self.root / "alignment" / self.dataset_folder.name

    @property
    def selection_path(self) -> Path:
        """The file of the chosen layers' scores. Its name has a hash of everything that determines them."""
        determines = {
            # 2: earlier tables divided the overlaps of a half by the k of all samples
            "version": 2 if self.protocol.select == "heldout" else 1,
            "models": [features.key for features in self.features],
            "metrics": [metric.id for metric in self.metrics],
            "clip": self.clamp.id,
            "select": self.protocol.select,
            "pairs": self.protocol.pairs,
            **dataclasses.asdict(self.statistics),
        }
        return self.alignment_folder / "selected" / f"{slug(self.name)}--{digest(determines)}.parquet"

    @property
    def competence_path(self) -> Path:
        """The file of the competence table of these models on this dataset."""
        return self.root / "competence" / f"{slug(self.name)}--{digest(self._measured)}.parquet"

    @cached_property
    def alignment(self) -> AlignmentTable:
        """The stored scores of the suite's models under the configured metrics and clamp, with facts about the models.

        Pairs of models without scores are named in a warning.

        Raises:
            StoreError: no pair has scores.
        """
        from platorep.results.stored import stored_alignment, unscored

        metrics = [metric.id for metric in self.metrics]
        table = stored_alignment(self.alignment_folder, self.models, self.features, metrics, self.clamp.id)
        if missing := unscored(table, self.pairs, metrics):
            log.warning("no scores, left out: %s. Run `platorep align` for them.", "; ".join(missing))
        return table

    @cached_property
    def selection(self) -> SelectionTable | None:
        """The scores of the layers that the protocol chooses, with their nulls and intervals; None before `align`."""
        from platorep.results.tables import SelectionTable

        return SelectionTable.load([self.selection_path]) if self.selection_path.exists() else None

    @cached_property
    def competence(self) -> CompetenceTable | None:
        """The competence table; None before `competence`."""
        from platorep.results.tables import CompetenceTable

        return CompetenceTable.load([self.competence_path]) if self.competence_path.exists() else None

    @cached_property
    def chosen(self) -> pd.DataFrame:
        """One score per pair of models and metric, as the protocol chooses layers. Every view shows these scores.

        Raises:
            SpecError: the protocol's choice of layers does not exist.
            StoreError: there are no scores, or the choice is held out and was not tested.
        """
        from platorep.results.protocols import chosen

        return chosen(self.alignment, self.protocol.select, self.selection)


def _commit_of(spec: ModelSpec | DatasetSpec) -> str | None:
    """Calls `platorep.models.commits.commit_of`, which is imported only when there is a branch or tag to resolve."""
    from platorep.models.commits import commit_of

    return commit_of(spec)
