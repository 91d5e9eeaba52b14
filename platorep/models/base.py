"""The interface of encoders, through which the rest of the program uses models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import torch

from platorep.core.errors import SpecError
from platorep.core.sounds import Sound
from platorep.core.specs import GenerateSpec, ModelSpec


if TYPE_CHECKING:
    from PIL.Image import Image


class Encoded(NamedTuple):
    """The result of one batch.

    Attributes:
        features: one tensor per kept layer, in depth order, shape (batch, width of the layer), float32, on the device.
        scalars: figures per item, shape (batch,), float32, such as the bits of a caption.
    """

    features: list[torch.Tensor]
    scalars: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Text:
    """A text to encode and the range of the caption in it, which is the whole text without a prompt."""

    text: str
    start: int
    stop: int

    @classmethod
    def of(cls, caption: str, prompt: str | None = None) -> Text:
        """The caption alone, or inserted into a prompt in place of {caption}."""
        before, after = prompt.split("{caption}") if prompt is not None else ("", "")
        return cls(f"{before}{caption}{after}", len(before), len(before) + len(caption))


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenised text.

    Attributes:
        ids: token ids, special tokens included.
        pooled: for every token, whether it is pooled.
        scored: for every token, whether its bits count; empty if the model gives no probabilities.
        bytes: UTF-8 bytes of the kept part of the caption.
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
    """Rules of an extraction for texts: which tokens are pooled, how overlong texts are handled and texts continued."""

    span: str = "all"
    max_tokens: int | None = None
    overlong: str = "truncate"
    bits: bool = True
    generated: GenerateSpec | None = None


class Encoder(Protocol):
    """A model that computes pooled features of its layers for a batch.

    Attributes:
        spec: the resolved spec.
        all_layers: names of all layers in depth order.
        layers: names of the layers that `encode` returns.
        facts: figures for the manifest: parameters, start token, ….
    """

    spec: ModelSpec
    all_layers: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def layers(self) -> tuple[str, ...]: ...

    def select(self, layers: str) -> None:
        """Keeps only the layers that `ExtractSpec.layers` selects."""
        ...

    def encode(self, batch: Any) -> Encoded:
        """Features of one batch, pooled on the device."""
        ...


class TextEncoder(Encoder, Protocol):
    """An encoder of captions."""

    def fit(self, texts: Sequence[str]) -> None:
        """Called with all texts of the dataset before tokenisation; only TF-IDF learns from them."""
        ...

    def tokenize(self, texts: Sequence[Text], rules: TextRules) -> list[Tokens]:
        """Tokenises texts; called in the main process for one shard at a time."""
        ...


@runtime_checkable
class Continues(Protocol):
    """An encoder of captions that can continue them."""

    def continued(self, batch: Sequence[Tokens], rules: GenerateSpec) -> list[Tokens]:
        """The texts with the tokens that the model continues them with, and only these pooled."""
        ...


class PictureEncoder(Encoder, Protocol):
    """An encoder of pictures.

    Attributes:
        tokens_each: number of tokens that one picture uses of the budget.
        transform: converts a picture to the model's input, shape (3, height, width), in worker processes.
    """

    tokens_each: int
    transform: Callable[[Image], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound as the input of a model.

    Attributes:
        windows: its windows in order, each an input of the model without a batch axis; of one shape, unless the model
            takes inputs of any length.
        filled: for every window, the share that holds sound, in (0, 1]; the rest is padding.
        seconds: duration of the whole sound.
    """

    windows: Sequence[torch.Tensor]
    filled: Sequence[float]
    seconds: float


class SoundEncoder(Encoder, Protocol):
    """An encoder of sounds.

    Attributes:
        tokens_each: number of tokens that one window uses of the budget.
        transform: converts a sound to the model's input, in worker processes.
    """

    tokens_each: int
    transform: Callable[[Sound], Clip]


@dataclass
class Layers:
    """The layers of a model and the kept ones among them; the base class of encoders."""

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
        """Keeps the layers that `layers` selects (see `parse_layers`)."""
        self.kept = parse_layers(layers, len(self.all_layers))


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Parses `ExtractSpec.layers` to ascending, unique indices among `count` layers.

    Args:
        text: "all"; "last"; indices such as "0,3,-1"; or relative depths such as "depth:0.25,0.5,1.0", where depth
            is index / (count - 1) and the nearest layer is selected, the lower one in case of a tie.
        count: number of layers of the model.

    Raises:
        SpecError: the text has another format, or an index or depth does not exist.
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


def native_dtype(device: torch.device) -> str:
    """The dtype for dtype="auto": bfloat16 on GPUs with native support, else float32."""
    return "bfloat16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
