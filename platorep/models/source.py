"""The interface of a source of models. Each source implements it in one object, registered in `sources`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch

from platorep.assets.examining import Repository as Listing
from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.repositories import Repository, fetched_weights


class Source(ABC):
    """How the models of one source are resolved, loaded, sized and evicted.

    Models of an `asset` are fetched, hashed and evicted in the same way for all sources. Default methods suit models
    that are computed, such as word counts, which have neither weights nor a repository.

    Attributes:
        modalities: modalities of its models.
        quantized: modalities whose models can be loaded in 8 or 4 bits.
        is_network: whether its models are networks, which can have another dtype, and noise in their weights.
        takes_folder: whether `id` may be a local folder.
        has_joint_space: whether its models have a joint space of pictures and texts, which pool="joint" selects.
        weight_bytes: bytes of a stored parameter, for estimates.
    """

    modalities: ClassVar[tuple[str, ...]]
    quantized: ClassVar[tuple[str, ...]] = ()
    is_network: ClassVar[bool] = True
    takes_folder: ClassVar[bool] = False
    has_joint_space: ClassVar[bool] = False
    weight_bytes: ClassVar[int] = 2

    @abstractmethod
    def load(self, spec: ModelSpec, device: torch.device) -> Encoder:
        """The encoder of a resolved spec, on its device, in evaluation mode.

        Raises:
            SpecError: the weights do not match the architecture, or the architecture is not supported.
            AssetError: the weights cannot be fetched.
        """

    def check(self, spec: ModelSpec) -> None:
        """Refuses settings that are invalid for models of this source.

        Raises:
            SpecError: settings exclude each other, or the source does not support them.
        """
        _check(spec, self)

    def version(self, spec: ModelSpec) -> str | None:
        """The revision of models that a library builds or this program computes; None if they are in a repository."""
        return None

    def repository(self, spec: ModelSpec) -> Repository | None:
        """The Hub repository of a model's weights; None if this source has none.

        Raises:
            SpecError: the weights are unknown, or in no repository.
        """
        return None

    def has_class_token(self, spec: ModelSpec) -> bool:
        """Whether every layer of a vision model has a class token, which pool="auto" then uses.

        Only the architecture is built, before weights are fetched.

        Raises:
            SpecError: the architecture takes no pictures, or does not report its layers.
            UnknownNameError: the architecture does not exist.
            AssetError: the model's config cannot be fetched.
        """
        return False

    def weights(self, spec: ModelSpec) -> list[Path]:
        """The weight files of a resolved pretrained model without an asset, fetched if necessary.

        Raises:
            AssetError: the files cannot be fetched.
        """
        place = self.repository(spec)
        return [] if place is None else [fetched_weights(place, str(spec.revision))]

    def parameters(self, spec: ModelSpec) -> int | None:
        """Number of parameters, if it is known without the model's files; None otherwise."""
        return None

    def tokens(self, spec: ModelSpec) -> int | None:
        """Number of tokens per sample, if it is known from the name; None otherwise. Used to estimate the time."""
        return None

    def examine(self, spec: ModelSpec, listing: Listing, weights: Sequence[str]) -> tuple[str, list[str]]:
        """The files of the tokenizer in a repository, and the problems that would prevent loading.

        Args:
            spec: the model as configured.
            listing: the files of the repository.
            weights: names of the weight files that would be fetched.
        """
        return "", []


def _check(spec: ModelSpec, source: Source) -> None:
    if spec.modality not in source.modalities:
        raise SpecError(
            f"{spec.name}: modality is {spec.modality!r}; source={spec.source} has {' and '.join(source.modalities)}."
        )
    if spec.pool == "joint" and not source.has_joint_space:
        raise SpecError(
            f"{spec.name}: pool=joint is the joint space of pictures and texts of source=open_clip; got {spec.source}."
        )
    if spec.weight_noise < 0:
        raise SpecError(f"{spec.name}: weight_noise is {spec.weight_noise}; expected 0 or more.")
    if spec.weight_noise and (spec.quantize or not source.is_network):
        raise SpecError(
            f"{spec.name}: weight_noise needs weights of a network in full precision; "
            "leave out weight_noise or quantize."
        )
    if spec.input_size is not None and (spec.modality != "vision" or spec.input_size < 1):
        raise SpecError(
            f"{spec.name}: input_size is {spec.input_size} for {spec.modality}; expected 1 or more, and pictures."
        )
    if spec.modality != "sound" and (spec.seconds is not None or spec.crop != "windows"):
        raise SpecError(f"{spec.name}: seconds and crop are for models of sounds; got modality {spec.modality!r}.")
    if spec.quantize and spec.modality not in source.quantized:
        raise SpecError(
            f"{spec.name}: quantize is not possible for {spec.modality} models of source={spec.source}; leave it out."
        )
    if spec.quantize and spec.weights == "random":
        raise SpecError(f"{spec.name}: quantize takes pretrained weights; leave out quantize or weights=random.")
