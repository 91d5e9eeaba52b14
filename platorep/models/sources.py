"""The sources of models: one line each."""

from __future__ import annotations

import torch

from platorep.core.errors import SpecError, unknown_name
from platorep.core.specs import ModelSpec
from platorep.models.aisfx import Aisfx
from platorep.models.base import Encoder
from platorep.models.ctranslate2_models import CTranslate2
from platorep.models.lexical import Static, Tfidf
from platorep.models.matrix import Matrix
from platorep.models.mel import Duration, Mel
from platorep.models.open_clip_models import OpenClip
from platorep.models.pixels import Pixels
from platorep.models.source import Source
from platorep.models.timm_models import Timm
from platorep.models.trained import Trained
from platorep.models.transformers_models import Transformers


SOURCES: dict[str, Source] = {
    "transformers": Transformers(),
    "timm": Timm(),
    "open_clip": OpenClip(),
    "static": Static(),
    "tfidf": Tfidf(),
    "pixels": Pixels(),
    "matrix": Matrix(),
    "ctranslate2": CTranslate2(),
    "aisfx": Aisfx(),
    "mel": Mel(),
    "duration": Duration(),
    "trained": Trained(),
}
"""Sources by the name that `ModelSpec.source` has."""


def source_of(spec: ModelSpec) -> Source:
    """The source of a model.

    Raises:
        UnknownNameError: there is no such source; the message has the nearest names.
        SpecError: its features are imported, not extracted.
    """
    if spec.is_imported:
        option = " --matrix" * (spec.source == "matrix")
        raise SpecError(
            f"{spec.name}: source={spec.source} is not run here; import such features with "
            f"`platorep store import{option}`."
        )
    if spec.source not in SOURCES:
        raise unknown_name(f"source of model {spec.name}", spec.source, [*SOURCES, "imported"])
    return SOURCES[spec.source]


def load(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a resolved spec, on its device, in evaluation mode.

    Raises:
        SpecError: the weights do not match the architecture, or the architecture is not supported.
        AssetError: the weights cannot be fetched.
    """
    return source_of(spec).load(spec, device)
