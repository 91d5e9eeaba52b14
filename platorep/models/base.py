"""What an encoder is: the one thing that the rest of the program knows of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec


if TYPE_CHECKING:
    from PIL.Image import Image


class Encoded(NamedTuple):
    """One batch through a model.

    Attributes:
        features: one tensor a kept layer, in depth order, shape (batch, width of the layer), float32, on the device.
        scalars: figures of every item, shape (batch,), float32, such as the bits that a caption costs.
    """

    features: list[torch.Tensor]
    scalars: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Text:
    """A text to encode, and which of its characters are the caption: all of them, unless a prompt surrounds it."""

    text: str
    start: int
    stop: int

    @classmethod
    def of(cls, caption: str, prompt: str | None = None) -> Text:
        """The caption alone, or in the place of {caption} in a prompt."""
        before, after = prompt.split("{caption}") if prompt is not None else ("", "")
        return cls(f"{before}{caption}{after}", len(before), len(before) + len(caption))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as an encoder takes it.

    Attributes:
        ids: token ids, special tokens included.
        pooled: for every token, whether it takes part in pooling.
        scored: for every token, whether its bits count; empty where the model gives no probabilities.
        bytes: UTF-8 bytes of the caption, as far as it was kept.
        truncated: whether the text was longer than allowed.
    """

    ids: Sequence[int]
    pooled: Sequence[bool] = ()
    scored: Sequence[bool] = ()
    bytes: int = 0
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TextRules:
    """What an extraction says of its texts: which tokens are pooled, and what becomes of overlong ones."""

    span: str = "all"
    max_tokens: int | None = None
    overlong: str = "truncate"
    bits: bool = True


class Encoder(Protocol):
    """A model that turns a batch into pooled features of its layers.

    Attributes:
        spec: the resolved spec.
        all_layers: names of every layer in depth order.
        layers: names of the layers that `encode` returns.
        facts: figures for the manifest: parameters, start token, ….
    """

    spec: ModelSpec
    all_layers: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def layers(self) -> tuple[str, ...]: ...

    def select(self, layers: str) -> None:
        """Keeps the layers that `ExtractSpec.layers` names, and no others."""
        ...

    def encode(self, batch: Any) -> Encoded:
        """Features of one batch, pooled on the device."""
        ...


class TextEncoder(Encoder, Protocol):
    """An encoder of captions."""

    def fit(self, texts: Sequence[str]) -> None:
        """Sees all texts of the dataset once, before any is tokenised; only TF-IDF learns from them."""
        ...

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """The texts as token ids; in the main process, a shard at a time."""
        ...


class PictureEncoder(Encoder, Protocol):
    """An encoder of pictures.

    Attributes:
        tokens_each: what one picture counts in a batch's budget.
        transform: from a picture to the model's input, shape (3, height, width); runs in worker processes.
    """

    tokens_each: int
    transform: Callable[[Image], torch.Tensor]


@dataclass
class Layers:
    """The layers of a model, and which of them are kept; the part that all encoders share."""

    all_layers: tuple[str, ...]
    kept: tuple[int, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kept = tuple(range(len(self.all_layers)))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the kept layers, in depth order."""
        return tuple(self.all_layers[i] for i in self.kept)

    def select(self, layers: str) -> None:
        """Keeps the layers that `layers` names (see `parse_layers`)."""
        self.kept = parse_layers(layers, len(self.all_layers))


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Indices, ascending and each once, that `ExtractSpec.layers` names among `count` layers.

    Args:
        text: "all"; "last"; indices such as "0,3,-1"; or relative depths such as "depth:0.25,0.5,1.0", where depth
            is index / (count - 1) and the nearest layer is taken, the lower one at a tie.
        count: how many layers the model has.

    Raises:
        SpecError: it is none of these, or an index or depth does not exist.
    """
    if text == "all":
        return tuple(range(count))
    if text == "last":
        return (count - 1,)
    expected = "expected all, last, indices such as 0,3,5, or depth:0.25,0.5,1.0"
    is_depth = text.startswith("depth:")
    try:
        values = [float(part) if is_depth else int(part) for part in text.removeprefix("depth:").strip("[]").split(",")]
    except ValueError:
        raise SpecError(f"layers is {text!r}; {expected}.") from None
    if is_depth:
        if bad := [v for v in values if not 0 <= v <= 1]:
            raise SpecError(f"layers is {text!r}; relative depths lie in 0 to 1, got {bad[0]}.")
        return tuple(sorted({min(range(count), key=lambda i: (abs(i - v * (count - 1)), i)) for v in values}))
    if bad := [v for v in values if not -count <= v < count]:
        raise SpecError(
            f"layers is {text!r}, but the model has {count} layers: {-count} to {count - 1} exist, got {int(bad[0])}."
        )
    return tuple(sorted({int(v) % count for v in values}))


def pick_device(name: str = "auto") -> torch.device:
    """The device that `compute.device` names; "auto" is the first GPU, else Apple's, else the CPU.

    Raises:
        SpecError: the device does not exist here.
    """
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return torch.device(accelerator.type, 0) if accelerator is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SpecError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}). Use device=cpu or device=auto."
        ) from None
    return device


def native_dtype(device: torch.device) -> str:
    """What dtype="auto" means on a device: bfloat16 where GPUs multiply it natively, else float32."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0) else "float32"


def is_lexical(spec: ModelSpec) -> bool:
    """Whether features are sparse word weights, whose few large values are the signal: not to be clamped."""
    return spec.source == "tfidf"
