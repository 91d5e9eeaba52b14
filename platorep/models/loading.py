"""From a resolved spec to an encoder with its weights, on its device."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from platorep.assets import cache_dir
from platorep.core.errors import AssetError, SpecError
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.degrade import add_weight_noise
from platorep.models.resolving import fetched, find


log = logging.getLogger(__name__)


def load(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a resolved spec, on its device, in evaluation mode.

    Raises:
        SpecError: the weights do not fit the architecture, or the architecture is of no known kind.
        AssetError: the weights cannot be had.
    """
    return _LOADERS[spec.source](spec, device)


def _load_transformers(spec: ModelSpec, device: torch.device) -> Encoder:
    if spec.modality == "language":
        return _load_language(spec, device)
    from platorep.models.transformers_vision import load_transformers_vision

    return load_transformers_vision(spec, device)


def _load_timm(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.loading_vision import load_timm

    return load_timm(spec, device)


def _load_clip(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.loading_vision import load_clip

    return load_clip(spec, device)


# transformers -----------------------------------------------------------------------------------------------------------


@contextmanager
def _without_bars() -> Iterator[None]:
    """Silences transformers' progress bars: our own show what is going on, and only on a terminal."""
    from transformers.utils import logging as theirs

    shown = theirs.is_progress_bar_enabled()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            theirs.enable_progress_bar()


@_without_bars()
def _load_language(spec: ModelSpec, device: torch.device) -> Encoder:
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

    from platorep.models.language import LanguageEncoder

    where, at = _language_files(spec)
    more: dict[str, Any] = {**at, "trust_remote_code": spec.trust_remote_code}
    config = AutoConfig.from_pretrained(where, **more)
    if config.is_encoder_decoder:
        raise SpecError(
            f"{spec.name}: encoder-decoder models have no one sequence of hidden states. Give an encoder or a causal model."
        )
    causal = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or [])
    auto = AutoModelForCausalLM if causal else AutoModel
    dtype = getattr(torch, spec.dtype)
    shape = partial(_shape, auto, config, spec.trust_remote_code)
    if spec.weights == "random":
        model = _seeded(spec.seed, lambda: auto.from_config(config, trust_remote_code=spec.trust_remote_code)).to(
            device, dtype
        )
    else:
        placed = _placement(spec, shape, device)
        model = auto.from_pretrained(where, config=config, dtype=dtype, device_map=placed, **_quantized(spec), **more)
    model.eval()
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    tokenizer = AutoTokenizer.from_pretrained(where, **more)
    if not tokenizer.is_fast:
        raise SpecError(
            f"{spec.name}: its tokenizer has no fast version, which is needed to tell where tokens lie in the text."
        )
    encoder = LanguageEncoder(spec, model, tokenizer, device)
    spread = sorted({str(at) for at in getattr(model, "hf_device_map", {}).values()})
    if len(spread) > 1 or "disk" in spread:
        encoder.facts["spread_over"] = spread
    if spec.quantize or "disk" in spread:  # packed weights count as half, and tied ones on disk twice
        encoder.facts["parameters"] = sum(p.numel() for p in shape().parameters())
    return encoder


def _language_files(spec: ModelSpec) -> tuple[str, dict[str, Any]]:
    """Where `from_pretrained` finds the model: a folder, or a Hub repository at a commit."""
    if spec.asset is None:
        return spec.id, {"revision": spec.revision}
    path = fetched(spec.asset)
    try:
        return str(find(path, "config.json").parent), {}
    except AssetError:
        return str(_dequantized(find(path, "*.gguf"), str(spec.revision))), {}


def _dequantized(gguf: Path, revision: str) -> Path:
    """A float32 copy of a GGUF model in the cache, made once: de-quantising takes tens of seconds."""
    folder = cache_dir() / "dequantized" / revision[:16]
    if (folder / "config.json").is_file():
        return folder
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log.info("de-quantising %s, once", gguf.name)
    whole = (
        {"quantization_config": transformers.GgufConfig(dequantize=True)} if hasattr(transformers, "GgufConfig") else {}
    )
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32, **whole)
    # A model that remembers its quantiser refuses to be saved: the plain float weights go into a plain model.
    config = type(model.config).from_dict(
        {k: v for k, v in model.config.to_dict().items() if k != "quantization_config"}
    )
    config.architectures = [type(model).__name__]
    plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(model.state_dict())
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    plain.save_pretrained(part)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(part)
    try:
        part.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise
        shutil.rmtree(part)
    return folder


def _shape(auto: Any, config: Any, trust_remote_code: bool) -> Any:
    """The architecture without weights, for their number."""
    with torch.device("meta"):
        return auto.from_config(config, trust_remote_code=trust_remote_code)


def _placement(spec: ModelSpec, shape: Callable[[], Any], device: torch.device) -> Any:
    """The whole model on one device where it fits, else spread over all devices, the host and the disk (`device_map="auto"`)."""
    if device.type != "cuda":
        return {"": device}
    bytes_each = {"8bit": 1.0, "4bit": 0.5, None: getattr(torch, spec.dtype).itemsize}[spec.quantize]
    size = bytes_each * sum(p.numel() for p in shape().parameters())
    return "auto" if size > 0.9 * torch.cuda.mem_get_info(device)[0] else {"": device}


def _quantized(spec: ModelSpec) -> dict[str, Any]:
    """What tells `from_pretrained` to quantise, by the bitsandbytes library.

    Raises:
        SpecError: that library is not installed.
    """
    if spec.quantize is None:
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SpecError(f"{spec.name}: quantize={spec.quantize} needs bitsandbytes: pip install 'platorep[quant]'.")
    from transformers import BitsAndBytesConfig

    # without a word about it, 4-bit weights would be multiplied in float32 whatever the model's dtype
    if spec.quantize == "4bit":
        return {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_compute_dtype=getattr(torch, spec.dtype)
            )
        }
    return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}


def _seeded(seed: int, make: Callable[[], Any]) -> Any:
    """What `make` builds under a seed, on the CPU in float32, without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


# words and pixels -------------------------------------------------------------------------------------------------------


def _load_static(spec: ModelSpec, device: torch.device) -> Encoder:
    import numpy as np
    import pandas as pd

    from platorep.models.lexical import StaticEncoder

    if spec.asset is None:
        raise SpecError(
            f"{spec.name}: static word vectors need an asset with one .npy (words x width) and one .parquet (words in order)."
        )
    path = fetched(spec.asset)
    vectors = np.load(find(path, "*.npy"), mmap_mode="r", allow_pickle=False)
    words = pd.read_parquet(find(path, "*.parquet")).iloc[:, 0]
    if vectors.ndim != 2 or len(vectors) != len(words):
        raise SpecError(
            f"{spec.name}: {len(words)} words do not fit vectors of shape {vectors.shape}; expected one row a word."
        )
    return StaticEncoder(spec, vectors, {str(word): row for row, word in enumerate(words)}, device)


def _load_tfidf(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.lexical import TfidfEncoder

    return TfidfEncoder(spec, device)


def _load_pixels(spec: ModelSpec, device: torch.device) -> Encoder:
    from platorep.models.vision import PixelEncoder

    return PixelEncoder(spec, device)


_LOADERS: dict[str, Callable[[ModelSpec, torch.device], Encoder]] = {
    "transformers": _load_transformers,
    "timm": _load_timm,
    "open_clip": _load_clip,
    "static": _load_static,
    "tfidf": _load_tfidf,
    "pixels": _load_pixels,
}
