"""Text as concepts with a small open_clip model: its own pictures and texts, from its encoders to the table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from platorep.core.features import ArrayFeatures
from platorep.maps.concepts import joint_spaces, text_to_concept
from platorep.maps.translate import Design
from platorep.metrics.registry import build
from platorep.models import Text, TextRules, load, resolve
from platorep.models.networks import noise_pictures
from tests.models.test_clip import CPU, spec_of


N, CLASSES = 60, 3
RNG = np.random.default_rng(8)


def stored(name: str, values: torch.Tensor, modality: str, model=None) -> ArrayFeatures:
    features = ArrayFeatures(name, [values.float()], modality=modality)
    if model is not None:
        object.__setattr__(features, "spec", features.spec.replace(model=model))
    return features


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Both sides of a small CLIP with random weights: pictures of noise, and a text for each."""
    path = tmp_path_factory.mktemp("clip") / "clip"
    specs = [spec_of("transformer (CLIP)", path, modality, pool="joint") for modality in ("vision", "language")]
    vision, language = (load(resolve(spec, CPU), CPU) for spec in specs)
    texts = language.tokenize([Text.of(f"a picture of thing {i} of kind {i % CLASSES}") for i in range(N)], TextRules())
    (pictures,), (words,) = vision.encode(noise_pictures(vision.size, N)).features, language.encode(texts).features
    sides = [stored("pictures", pictures, "vision", specs[0]), stored("texts", words, "language", specs[1])]
    return joint_spaces(sides)


def test_both_sides_of_a_model_are_its_joint_space(space):
    assert [(side.pictures.name, side.texts.name) for side in space] == [("pictures", "texts")]
    assert space[0].pictures.layers[0].dim == space[0].texts.layers[0].dim


def test_an_affine_image_of_the_picture_side_reads_the_texts_as_it_does_and_another_model_does_not(space):
    pictures = space[0].pictures.load(0).numpy()
    basis = np.linalg.qr(RNG.normal(size=(pictures.shape[1], pictures.shape[1])))[0]
    copy = torch.from_numpy(50 * pictures @ basis + 7)
    other = torch.from_numpy(RNG.normal(size=pictures.shape))
    models = [stored("copy", copy, "vision"), stored("other", other, "vision")]
    design = Design(np.arange(N), [f"kind {i % CLASSES}" for i in range(N)], draws=1)
    frame = text_to_concept(space, models, design, build("mutual_knn", k=10)).frame
    assert set(frame.experiment) == {"text_to_concept"}
    assert set(frame.control) == {"random", "self", "shuffled"}  # the joint space is of random weights
    last = frame[(frame.n_fit == frame.n_fit.max()) & (frame.control == "random")]
    r2 = last[last.measure == "r2"].set_index("x_model").score
    assert r2["copy"] > r2["other"] + 0.3
    gap = frame[frame.measure == "cosine_gap"].set_index(["x_model", "control", "n_fit"]).score
    count = frame.n_fit.max()
    assert set(frame[frame.measure == "class_accuracy"].x_model) == {"copy", "other", "pictures"}
    own, of_copy = gap["pictures", "self", count], gap["copy", "random", count]
    assert of_copy == pytest.approx(own, abs=0.5 * abs(own) + 0.02)
