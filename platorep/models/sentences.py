"""Reads how sentence-transformers repositories compute embeddings, and describes differences to features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platorep.core.errors import AssetError
from platorep.core.specs import ModelSpec


POOLS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
"""Names of pools in sentence-transformers and here."""


@dataclass(frozen=True)
class SentenceRules:
    """How a repository computes the embedding of a text from the last states.

    Attributes:
        transformer: the subfolder of the transformer; "" for the repository itself.
        pool: the pool in sentence-transformers' terms; "" for other repositories.
        layers: layers applied to the pooled vector, such as "Dense 768 to 256".
        prompts: prefixes of captions by name.
        default_prompt: the prefix that is used by default; "" for none.
    """

    transformer: str = ""
    pool: str = ""
    layers: tuple[str, ...] = ()
    prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str = ""

    def differences(self, spec: ModelSpec) -> str:
        """Describes how the embedding of the repository differs from features; "" if it does not."""
        differences = []
        if self.pool and POOLS.get(self.pool) != spec.pool:
            ours = POOLS.get(self.pool)
            advice = f"models.{spec.name}.pool={ours}" if ours else "there is no such pool here"
            differences.append(f"pools by {self.pool}, features by {spec.pool} ({advice})")
        if self.layers:
            differences.append(f"goes through {', '.join(self.layers)}, which no feature does")
        named = dict(self.prompts)
        if self.default_prompt in named:
            text = named[self.default_prompt]
            differences.append(f"puts {text!r} before a text (prompt='{text}{{caption}}')")
        elif named:
            differences.append(f"knows prompts, such as {next(iter(named.values()))!r} (prompt='…{{caption}}')")
        return f"its own sentence embedding {'; '.join(differences)}." if differences else ""


def sentence_rules(folder: Path) -> SentenceRules:
    """Reads modules.json and the files that it refers to; returns empty rules if it does not exist.

    Raises:
        AssetError: a file is not JSON.
    """
    if not (folder / "modules.json").is_file():
        return SentenceRules()
    transformer, pool, layers = "", "", []
    for module in _read(folder / "modules.json"):
        kind, path = module["type"].rpartition(".")[2], module["path"]
        config = folder / path / "config.json"
        if kind == "Transformer":
            transformer = path
        elif kind == "Pooling":
            pool = _pool(_read(config))
        elif kind == "Dense":
            sizes = _read(config)
            layers.append(f"Dense {sizes['in_features']} to {sizes['out_features']}")
        elif kind != "Normalize":  # cosine neighbours do not depend on the length of vectors
            layers.append(kind)
    settings = folder / "config_sentence_transformers.json"
    settings = _read(settings) if settings.is_file() else {}
    prompts = tuple((name, text) for name, text in (settings.get("prompts") or {}).items() if text)
    return SentenceRules(transformer, pool, tuple(layers), prompts, settings.get("default_prompt_name") or "")


def _pool(config: dict[str, Any]) -> str:
    """The pool in the config of a Pooling module; several pools are concatenated."""
    if isinstance(mode := config.get("pooling_mode"), str):
        return mode
    modes = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    return "+".join(key.removeprefix("pooling_mode_").removesuffix("_token").removesuffix("_tokens") for key in modes)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetError(
            f"{path} cannot be read ({error}). Delete it; one from the Hub is then fetched again."
        ) from error
