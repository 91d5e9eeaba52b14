"""Texts as classes for a vision model: an affine map into the picture side of a joint space of pictures and texts.

Moayeri et al., Text-To-Concept (and Back) via Cross-Model Alignment (ICML 2023, arXiv 2305.06386). The map is fitted on
pictures alone, from vision to vision. The two sides of a joint space were trained together, so a high score says
nothing about vision and language in general. The bias of the map is y_mean - x_mean W, in the units of both models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from platorep.align.layers import tie_seed
from platorep.core.features import Features
from platorep.maps.anchors import Anchors, narrowed
from platorep.maps.cells import FORWARD, Cell
from platorep.maps.layers import LayerOf, Pair, kernel_score
from platorep.maps.measures import Measure, Scene, explained, measures
from platorep.maps.ridge import ridge
from platorep.maps.rows import Block, table
from platorep.maps.sides import Parts, Targets
from platorep.maps.splits import Split, anchor_counts, broken_pairs, splits
from platorep.maps.translate import Design
from platorep.metrics.base import Metric
from platorep.metrics.geometry import Geometry
from platorep.results.translation import SELF, TranslationTable


JOINT = "joint"
"""Pool of models whose only layer is a joint space of pictures and texts."""


@dataclass(frozen=True)
class JointSpace:
    """Both sides of a joint space."""

    pictures: Features
    texts: Features


def joint_spaces(models: Sequence[Features]) -> list[JointSpace]:
    """The joint spaces with both sides among the models. The sides are equal in everything but the modality."""
    sides = [model for model in models if model.spec.model.pool == JOINT]
    spaces = []
    for pictures in (side for side in sides if side.spec.model.modality == "vision"):
        wanted = pictures.spec.model.replace(modality="language").identity()
        spaces += [JointSpace(pictures, texts) for texts in sides if texts.spec.model.identity() == wanted]
    return spaces


def text_to_concept(
    spaces: Sequence[JointSpace], models: Sequence[Features], design: Design, metric: Metric
) -> TranslationTable:
    """Retrieval and classification of a vision model's pictures by the texts of a joint space.

    A ridge, fitted on the pictures of the anchors, maps the last layer of each vision model into the picture side. Each
    test picture then retrieves its nearest text among those of all test samples, and the class whose texts of fit are
    nearest. The control "self" is the picture side without a map: it shows what the joint space achieves. The control
    "shuffled" is a map from broken pairs of pictures, in the first split. r2 is that of the map on test pictures.
    Features are not clamped.

    Args:
        spaces: joint spaces over the same samples.
        models: vision models; the picture sides of joint spaces are left out.
        design: splits and classes.
        metric: metric of the kernel score between the last layer and the texts, on the test samples.
    """
    parts = splits(design.groups, design.draws, design.seed)
    counts = anchor_counts(len(parts[0].fit))
    metric = metric.on_fold(len(design.groups), len(parts[0].test))
    vision = [model for model in models if model.spec.model.modality == "vision" and model.spec.model.pool != JOINT]
    blocks = []
    for space in spaces:
        pictures, texts = (side.load(0).numpy() for side in (space.pictures, space.texts))
        for model in [*vision, space.pictures]:
            layer = LayerOf(model, len(model.layers) - 1)
            values = model.load(layer.index).numpy()
            narrow = narrowed(values)
            for draw, split in enumerate(parts):
                scene = Scene(len(split.test), design.labels(split))
                stage = _Stage(Parts.of(narrow, split), Parts.of(pictures, split), Parts.of(texts, split), scene)
                kernel = _kernel(values, texts, split, layer, space, metric)
                joint, pair, seed = model is space.pictures, Pair(layer, LayerOf(space.texts, 0)), design.seed + draw
                for count in counts[-1:] if joint else counts:
                    cells = stage.cells(count, seed, controls=draw == 0, joint=joint)
                    control = SELF if joint else pair.control
                    blocks.append(Block(pair, control, count, len(split.test), seed, kernel, cells))
    facts = {"dataset": spaces[0].pictures.dataset, "n": len(design.groups), "clip": "none", "select": "last"}
    return table(blocks, facts | {"metric": metric.id})


@dataclass(frozen=True)
class _Stage:
    """A vision model and a joint space in one split."""

    model: Parts
    pictures: Parts
    texts: Parts
    scene: Scene

    def cells(self, count: int, seed: int, *, controls: bool, joint: bool) -> list[tuple[Cell, Cell | None]]:
        """The map from some anchors, and the map from broken pairs if controls are requested.

        Args:
            count: number of anchors.
            seed: seed of the order of broken pairs.
            controls: whether broken pairs are fitted.
            joint: whether the model is the picture side itself and needs no map.
        """
        if joint:
            return [(Cell("text_to_concept", "none", FORWARD, self._scores(self.pictures.test)), None)]
        true = self._cell(count, np.arange(count))
        if not controls:
            return [(true, None)]
        return [(true, self._cell(count, broken_pairs(count, [seed, count])))]

    def _cell(self, count: int, order: np.ndarray) -> Cell:
        fitted = ridge(Anchors(self.model.fit[:count][order]), Anchors(self.pictures.fit[:count]))
        predicted = fitted.y_mean + fitted.source(self.model.test)
        scores = self._scores(predicted)
        scores["r2"] = explained(self.pictures.test - fitted.y_mean, predicted - fitted.y_mean)
        return Cell("text_to_concept", "ridge", FORWARD, scores, fitted.strength, fitted.freedom)

    def _scores(self, queries: np.ndarray) -> dict[str, Measure]:
        targets = Targets.of(self.texts.test, self.texts.fit, self.scene.labels)
        return measures(queries, targets, self.scene)


def _kernel(
    values: np.ndarray, texts: np.ndarray, split: Split, layer: LayerOf, space: JointSpace, metric: Metric
) -> tuple[float, float]:
    x = Geometry(torch.from_numpy(values[split.test]), seed=tie_seed(*layer.key))
    y = Geometry(torch.from_numpy(texts[split.test]), seed=tie_seed(space.texts.key, 0))
    return kernel_score(x, y, metric)
