"""Linear probes of stored features, as rows of the competence table."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence

from platorep.competence import probes
from platorep.competence.rows import row, table
from platorep.core.errors import SpecError
from platorep.core.features import Features, require_features
from platorep.core.samples import Samples
from platorep.core.specs import ModelSpec, TaskSpec
from platorep.results.tables import CompetenceTable


log = logging.getLogger(__name__)


def probe_accuracy(
    task: TaskSpec,
    layer: str,
    train: tuple[Features, Samples],
    validation: tuple[Features, Samples] | None,
) -> CompetenceTable:
    """The accuracy of one model on one task, by logistic regression on one layer.

    Args:
        task: the rule of classes, and the share of samples that is held out.
        layer: last, an index, or depth:0.5.
        train: features and samples of the training pictures.
        validation: features and samples of the validation pictures; None holds out a stratified share of the training
            pictures.

    Raises:
        SpecError: `layer` selects several layers.
        DataError: a class has too few samples.
    """
    features, samples = train
    require_features(features, "a linear probe")
    classes = probes.labels(samples, task.label)
    if validation is None:
        rows, new_rows = probes.split(classes, task.held_out)
        new_features, new_classes = features, classes
    else:
        new_features, new_classes = validation[0], probes.labels(validation[1], task.label)
        rows = probes.subsample(probes.frequent(classes, probes.FOLDS))
        new_rows = probes.subsample(range(len(new_classes)))
    index = layer_of(features, layer)
    x = features.load(index).numpy()
    x_new = new_features.load(layer_of(new_features, layer)).numpy()
    result = probes.probe(x[rows], [classes[i] for i in rows], x_new[new_rows], [new_classes[i] for i in new_rows])
    design = (
        f"logistic regression on layer {features.layers[index].name}, C={result.c:g}, {result.classes} classes, "
        f"{result.train} + {result.validation} samples, chance {result.chance:.3f}"
    )
    name = f"{task.name} ({task.key()})"
    model = features.spec.model
    return table(
        [
            row(
                model,
                "probe_accuracy",
                result.accuracy,
                error=result.standard_error,
                task=name,
                provenance=design,
            )
        ]
    )


def share_solved(
    accuracies: CompetenceTable, models: Sequence[ModelSpec], probe: str, missing: Collection[str]
) -> CompetenceTable:
    """The share of tasks that each model solves, `vtab_solved`: as good as the best model, within the test's error.

    Models that were not probed on every task are logged and left out.

    Args:
        accuracies: rows of `probe_accuracy`.
        models: the models of the suite, in order.
        probe: name of the set of tasks.
        missing: tasks that could not be probed for any model.
    """
    accuracy = accuracies.frame.pivot(index="model", columns="task", values="value")
    accuracy = accuracy.reindex([model.name for model in models]).dropna(how="all")
    if gaps := sorted(accuracy.index[accuracy.isna().any(axis=1)]):
        log.warning("left out of the share of tasks solved, as not every task was probed: %s", ", ".join(gaps))
    shares = probes.share_solved(accuracy.drop(index=gaps))
    task = f"{probe}: {accuracy.shape[1]} tasks, best of {len(shares)} models"
    note = f"without {', '.join(sorted(missing))}" if missing else ""
    by_name = {model.name: model for model in models}
    return table(
        row(by_name[str(name)], "vtab_solved", share, error=math.nan, task=task, provenance=note)
        for name, share in shares.items()
    )


def layer_of(features: Features, layer: str) -> int:
    """Index of the probed layer among the stored ones.

    Raises:
        SpecError: `layer` selects several layers.
    """
    from platorep.models.base import parse_layers

    if features.spec.layers == layer and len(features.layers) == 1:
        return 0
    chosen = parse_layers(layer, len(features.layers))
    if len(chosen) != 1:
        raise SpecError(f"probe.layer is {layer!r}; a probe reads one layer, such as last, 5 or depth:0.5.")
    return chosen[0]
