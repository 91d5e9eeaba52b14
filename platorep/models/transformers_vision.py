"""Vision models in the format of the transformers library that take pictures of one size and report states."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from platorep.core.errors import SpecError
from platorep.core.specs import ModelSpec
from platorep.models import fetching
from platorep.models.failures import explained
from platorep.models.files import fetched, find
from platorep.models.hidden_states import StateLayout, hidden_states, state_layout
from platorep.models.hooks import pooled_outputs
from platorep.models.networks import PictureInput, PictureNetwork, noise_pictures
from platorep.models.pooling import picture_pool, pool_patches, pool_space
from platorep.models.pretrained import weighted, without_bars
from platorep.models.weights import seeded


if TYPE_CHECKING:
    from PIL.Image import Image


class TransformersPictureEncoder(PictureNetwork):
    """A vision model of the transformers library, or the vision tower of a multimodal model.

    Every block or stage is pooled before the final norm, as in timm and open_clip. The embedding is not a layer.

    Args:
        spec: the resolved spec.
        tower: the part that takes pictures, on its device, in evaluation mode.
        inputs: the repository's image processor, and the size of its outputs.
        device: the device of inputs.

    Raises:
        SpecError: the layers cannot be determined, or the model does not support the pool.
    """

    REPORT = "transformers' output_hidden_states"

    def __init__(self, spec: ModelSpec, tower: nn.Module, inputs: PictureInput, device: torch.device) -> None:
        pictures = noise_pictures(inputs.size).to(device, next(tower.parameters()).dtype)
        with _about(spec):
            self.layout = state_layout(tower, pictures)
        self.pool = picture_pool(spec.pool, self.layout.class_token is not None, spec.name)
        self.others = {layer.tokens: layer.others for layer in self.layout.layers}
        blocks = [layer.block for layer in self.layout.layers if layer.block is not None]
        super().__init__(
            spec,
            tower,
            [layer.name for layer in self.layout.layers],
            blocks if len(blocks) == len(self.layout.layers) else None,
            inputs,
            device,
        )

    def run(self, pictures: torch.Tensor) -> None:
        self.model(pixel_values=pictures)

    def pool_output(self, output: torch.Tensor) -> torch.Tensor:
        if output.ndim == 4:
            return pool_space(output.permute(0, 3, 1, 2) if self.layout.channels_last else output, self.pool)
        if self.pool == "cls":
            return output[:, self.layout.class_token].float()
        others = self.others[output.shape[1]]
        if others == tuple(range(len(others))):
            return pool_patches(output, len(others), self.pool)
        patches = [place for place in range(output.shape[1]) if place not in others]
        return pool_patches(output[:, patches], 0, self.pool)

    def reported(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        layers = [self.layout.layers[i] for i in self.kept]
        normed = {layer.name: layer.norm for layer in layers if layer.norm is not None}
        with pooled_outputs(normed, self.pool_output, inputs=frozenset(normed)) as before_norm:
            states = hidden_states(self.model, pictures)
        return [
            before_norm[layer.name] if layer.name in normed else self.pool_output(states[layer.state])
            for layer in layers
        ]


class RepositoryTransform:
    """The image processor of a repository as a transform from one picture to shape (3, height, width)."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, picture: Image) -> torch.Tensor:
        return self.processor(images=picture, return_tensors="pt")["pixel_values"][0]


@without_bars()
def load_transformers_vision(spec: ModelSpec, device: torch.device) -> TransformersPictureEncoder:
    """The encoder of a vision model in transformers' format: image processor first, then weights.

    Raises:
        SpecError: the model does not take pictures of one size, does not report its layers, or lacks weights.
        AssetError: the model's files are damaged or cannot be fetched.
    """
    from transformers import AutoModel

    folder = _folder(spec)
    inputs = picture_input(spec)
    config = _config(spec)
    options = {"trust_remote_code": spec.trust_remote_code}

    def features(model: Any) -> tuple[nn.Module, Callable[[], Iterable[torch.Tensor]]]:
        pictures = noise_pictures(inputs.size).to(model.dtype)
        with _about(spec), torch.no_grad():
            tower, _ = picture_tower(model, pictures)
        return tower, lambda: hidden_states(tower, pictures)

    model = weighted(AutoModel, folder, config, spec, features, device, **options)
    with _about(spec), torch.inference_mode():
        tower, _ = picture_tower(model, noise_pictures(inputs.size).to(device, model.dtype))
    encoder = TransformersPictureEncoder(spec, tower, inputs, device)
    encoder.check()
    return encoder


def architecture_has_class_token(spec: ModelSpec) -> bool:
    """Whether every layer has a class token, by the outputs of the architecture with one block.

    Raises:
        SpecError: as for `load_transformers_vision`.
        AssetError: the model's config cannot be fetched.
    """
    pictures = noise_pictures(picture_input(spec).size)
    config = _config(spec)
    with _about(spec), torch.inference_mode():
        try:
            return _architecture_layout(spec, _shallow(config), pictures).class_token is not None
        except Exception:  # the config states the depth in several fields
            return _architecture_layout(spec, config, pictures).class_token is not None


def _architecture_layout(spec: ModelSpec, config: Any, pictures: torch.Tensor) -> StateLayout:
    from transformers import AutoModel

    model = seeded(0, lambda: AutoModel.from_config(config, trust_remote_code=spec.trust_remote_code)).eval()
    return state_layout(picture_tower(model, pictures)[0], pictures)


def picture_tower(model: Any, pictures: torch.Tensor) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The outermost part of a model that takes only pictures and reports its states, and those states.

    Raises:
        SpecError: the model has no such part.
    """
    from transformers import PreTrainedModel

    first: SpecError | None = None
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module.main_input_name == "pixel_values":
            try:
                return module, hidden_states(module, pictures)
            except torch.OutOfMemoryError:
                raise
            except SpecError as error:
                first = first or error
            except Exception as error:  # multimodal models raise different errors for missing modalities
                reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
                first = first or SpecError(
                    f"transformers' {type(module).__name__} does not run on pictures alone ({reason}). Take a model "
                    "whose vision part takes pixel_values and nothing else."
                )
    raise first or SpecError(f"transformers' {type(model).__name__} has no part that takes pictures.")


def picture_input(spec: ModelSpec) -> PictureInput:
    """The repository's image processor, and the size of its outputs.

    Raises:
        SpecError: there is no image processor, or it does not return one tensor of fixed size per picture.
    """
    from PIL import Image
    from transformers import AutoImageProcessor

    folder = _folder(spec)
    with explained(spec, "image processor", folder):
        processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)
        transform = RepositoryTransform(processor)
        shapes = sorted({tuple(transform(Image.new("RGB", size)).shape) for size in ((64, 48), (48, 96))})
    if len(shapes) > 1 or len(shapes[0]) != 3 or shapes[0][0] != 3:
        raise SpecError(
            f"{spec.name}: its image processor gives inputs of shape {' and '.join(map(str, shapes))}; expected "
            "(3, height, width), the same for every picture. Models that take pictures in their own size or in several "
            "pieces cannot be run."
        )
    return PictureInput(transform, shapes[0][1:])


def _folder(spec: ModelSpec) -> Path:
    """The folder of a model's files; weights of Hub repositories are not included."""
    if spec.asset is None:
        return fetching.small_files(spec)
    return find(fetched(spec.asset), "config.json").parent


def _config(spec: ModelSpec) -> Any:
    from transformers import AutoConfig

    folder = _folder(spec)
    with explained(spec, "config", folder):
        return AutoConfig.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)


def _shallow(config: Any) -> Any:
    """A config of the same architecture with one block per part."""
    config = copy.deepcopy(config)
    for part in (config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", ()))):
        if isinstance(getattr(part, "num_hidden_layers", None), int):
            part.num_hidden_layers = 1
    return config


@contextmanager
def _about(spec: ModelSpec) -> Iterator[None]:
    """Prefixes messages with the name of the model, and converts other errors to messages."""
    try:
        yield
    except SpecError as error:
        raise error if str(error).startswith(spec.name) else SpecError(f"{spec.name}: {error}") from error
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a model for other inputs raises nearly every built-in error
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
        raise SpecError(f"{spec.name}: {spec.id!r} does not run as a vision model ({reason}).") from error
