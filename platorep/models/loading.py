"""From a resolved spec to an encoder with its weights, on its device."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from platorep.assets import derived
from platorep.assets.hub import snapshot
from platorep.core.errors import AssetError, SpecError, unknown_name
from platorep.core.specs import ModelSpec
from platorep.models.base import Encoder
from platorep.models.degrade import add_weight_noise
from platorep.models.resolving import CLIP_FILES, TIMM_FILES, fetched, find, hub_id, timm_architecture


log = logging.getLogger(__name__)


def load(spec: ModelSpec, device: torch.device) -> Encoder:
    """The encoder of a resolved spec, on its device, in evaluation mode.

    Raises:
        SpecError: the weights do not fit the architecture, or the architecture is of no known kind.
        AssetError: the weights cannot be had.
    """
    return _LOADERS[spec.source](spec, device)


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
    """A float32 copy of a GGUF model in the cache, made once and checked at every use: making it takes tens of seconds."""
    return derived(f"dequantized/{revision[:16]}", partial(_dequantize, gguf))


def _dequantize(gguf: Path, into: Path) -> None:
    """Writes the float32 weights, the configuration and the tokenizer of a GGUF model."""
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
    plain.save_pretrained(into)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(into)


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


# pictures ---------------------------------------------------------------------------------------------------------------


def _load_timm(spec: ModelSpec, device: torch.device) -> Encoder:
    from timm.data import create_transform, resolve_model_data_config

    from platorep.models.vision import TimmEncoder

    model = _seeded(spec.seed, lambda: timm_architecture(spec))
    if spec.weights == "pretrained":
        _load_timm_weights(spec, model)
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    data = resolve_model_data_config(model)
    model.eval().to(device, getattr(torch, spec.dtype))
    return TimmEncoder(spec, model, create_transform(**data, is_training=False), tuple(data["input_size"][1:]), device)


def _load_timm_weights(spec: ModelSpec, model: Any) -> None:
    from timm.models import load_checkpoint

    if spec.asset is None:
        # timm's own checkpoint filter: what the Hub holds may come from another version of the architecture.
        load_checkpoint(model, snapshot(hub_id(spec), str(spec.revision), TIMM_FILES) / "model.safetensors")
        return
    file = find(fetched(spec.asset), "*.safetensors", "*.pth", "*.pt")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(renamed(state, model.state_dict(), spec.name), strict=True)


def renamed(state: dict[str, torch.Tensor], want: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """A state dict of the same network under other module names, renamed by order.

    Args:
        state: what a file holds.
        want: the state dict of the architecture that it goes into.
        name: the model, for the message.

    Raises:
        SpecError: number of tensors, a shape, or the last part of a name (weight, bias, running_mean, …) differs.
    """
    if state.keys() == want.keys():
        state = {key: state[key] for key in want}
    if len(state) != len(want):
        raise SpecError(
            f"{name}: the file holds {len(state)} tensors, the architecture {len(want)}. It is of another architecture."
        )
    for (a, theirs), (b, ours) in zip(state.items(), want.items(), strict=True):
        if theirs.shape != ours.shape or a.rsplit(".", 1)[-1] != b.rsplit(".", 1)[-1]:
            raise SpecError(
                f"{name}: the file's {a} {tuple(theirs.shape)} does not fit the architecture's {b} {tuple(ours.shape)}. "
                "It is of another architecture."
            )
    return dict(zip(want, state.values(), strict=True))


def _load_clip(spec: ModelSpec, device: torch.device) -> Encoder:
    import open_clip

    from platorep.models.clip import ClipTextEncoder, picture_tower

    if spec.asset is not None:
        name = f"local-dir:{find(fetched(spec.asset), 'open_clip_config.json').parent}"
    elif spec.weights == "random" and "/" not in spec.id:
        if spec.id not in open_clip.list_models():
            raise unknown_name("open_clip architecture", spec.id, open_clip.list_models())
        name = spec.id
    else:
        name = f"local-dir:{snapshot(hub_id(spec), str(spec.revision), CLIP_FILES)}"
    pretrained = spec.weights == "pretrained"
    model = _seeded(
        spec.seed,
        lambda: open_clip.create_model(
            name, load_weights=pretrained, require_pretrained=pretrained, force_custom_text=True, pretrained_text=False
        ),
    )
    if spec.weight_noise:
        add_weight_noise(model, spec.weight_noise, spec.seed)
    model.eval().to(device, getattr(torch, spec.dtype))
    if spec.modality == "vision":
        return picture_tower(spec, model, device)
    return ClipTextEncoder(spec, model.text, open_clip.get_tokenizer(name), device)


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
    "transformers": _load_language,
    "timm": _load_timm,
    "open_clip": _load_clip,
    "static": _load_static,
    "tfidf": _load_tfidf,
    "pixels": _load_pixels,
}
