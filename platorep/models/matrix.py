"""Models that are matrices of dissimilarities, read from a file of an asset without an encoder."""

from __future__ import annotations

from typing import NoReturn

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.source import Source


class Matrix(Source):
    """Dissimilarities in a file of an asset, of any modality; `extract.matrices` stores them."""

    is_network = False

    def check(self, spec: ModelSpec) -> None:
        if spec.weight_noise or spec.quantize or spec.input_size is not None or spec.weights == "random":
            raise SpecError(
                f"{spec.name}: a matrix of dissimilarities has no weights and takes no pictures; leave out "
                "weight_noise, quantize, input_size and weights."
            )

    def load(self, spec: ModelSpec, device: torch.device) -> NoReturn:
        raise SpecError(f"{spec.name} is a matrix of dissimilarities: it encodes nothing.")
