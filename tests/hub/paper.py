"""The repositories of the paper's experiment on a loopback Hub: exact ids, real layouts, tiny language models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.hub import builder, builder_data, builder_vision
from tests.hub.repositories import Files
from tests.hub.server import Hub


LANGUAGE: dict[str, Callable[[int, int], Files]] = {
    "bigscience/bloomz-560m": builder.bloomz,
    "bigscience/bloomz-1b1": builder.bloomz,
    "bigscience/bloomz-1b7": builder.bloomz,
    "bigscience/bloomz-3b": builder.bloomz,
    "bigscience/bloomz-7b1": builder.bloomz,
    "openlm-research/open_llama_3b": builder.open_llama,
    "openlm-research/open_llama_7b": builder.open_llama,
    "openlm-research/open_llama_13b": builder.open_llama,
    "huggyllama/llama-7b": builder.llama,
    "huggyllama/llama-13b": builder.llama,
    "huggyllama/llama-30b": builder.llama,
    "huggyllama/llama-65b": builder.llama,
    "allenai/OLMo-1B-hf": builder.olmo,
    "allenai/OLMo-7B-hf": builder.olmo,
    "google/gemma-2b": builder.gemma,
    "google/gemma-7b": builder.gemma,
    "mistralai/Mistral-7B-v0.1": builder.mistral,
    "mistralai/Mixtral-8x7B-v0.1": builder.mixtral,
    "NousResearch/Meta-Llama-3-8B": builder.llama3,
    "NousResearch/Meta-Llama-3-70B": builder.llama3,
}
"""The 20 language models of Figure 4; the first 12 are those of Figure 3."""

GATED = ("google/gemma-2b", "google/gemma-7b", "mistralai/Mistral-7B-v0.1", "mistralai/Mixtral-8x7B-v0.1")

SMALL_VISION = ("vit_tiny_patch16_224.augreg_in21k",)
"""Of the paper's vision models those that can be made and run here at their full size in seconds."""

MORE_VISION = ("vit_small_patch16_224.augreg_in21k", "vit_small_patch14_dinov2.lvd142m")

TOKEN = "hf_of_a_member"
"""Opens the gated models."""


def add_paper(hub: Hub, count: int = 24, vision: Sequence[str] = SMALL_VISION) -> None:
    """Puts the paper's language models, some vision models and its pairs on a Hub."""
    hub.user(TOKEN, "a member", *GATED)
    for seed, (id, layout) in enumerate(LANGUAGE.items()):
        hub.add(id, layout(2 + seed % 2, seed), gated=id in GATED)
    for seed, name in enumerate(vision):
        hub.add(f"timm/{name}", builder_vision.timm_model(name, seed))
    builder_data.add_prh(hub, count)
