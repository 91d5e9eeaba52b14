"""What a repository of the sentence-transformers library adds to its model, and how much of it features follow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platorep.core.errors import AssetError
from platorep.core.specs import ModelSpec


POOLS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
"""What sentence-transformers calls a pool, and what we do."""


@dataclass(frozen=True)
class SentenceRules:
    """How a repository makes one vector of a text's last states.

    Attributes:
        transformer: the folder of the transformer within the repository; "" for the repository itself.
        pool: how tokens are pooled, in sentence-transformers' words; "" where the repository is of another kind.
        layers: what is applied to the pooled vector, such as "Dense 768 to 256".
        prompts: texts that belong before a caption, by name.
        default_prompt: the one that is put there unasked; "" for none.
    """

    transformer: str = ""
    pool: str = ""
    layers: tuple[str, ...] = ()
    prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str = ""

    def differences(self, spec: ModelSpec) -> str:
        """One sentence on what the repository's own embedding has and features have not; "" where that is nothing."""
        words = []
        if self.pool and POOLS.get(self.pool) != spec.pool:
            ours = POOLS.get(self.pool)
            advice = f"models.{spec.name}.pool={ours}" if ours else "there is no such pool here"
            words.append(f"pools by {self.pool}, features by {spec.pool} ({advice})")
        if self.layers:
            words.append(f"goes through {', '.join(self.layers)}, which no feature does")
        named = dict(self.prompts)
        if self.default_prompt in named:
            text = named[self.default_prompt]
            words.append(f"puts {text!r} before a text (prompt='{text}{{caption}}')")
        elif named:
            words.append(f"knows prompts, such as {next(iter(named.values()))!r} (prompt='…{{caption}}')")
        return f"its own sentence embedding {'; '.join(words)}." if words else ""


def sentence_rules(folder: Path) -> SentenceRules:
    """Reads modules.json and what it names; empty rules where there is none.

    Raises:
        AssetError: a file that is no JSON.
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
        elif kind != "Normalize":  # neighbours by cosine do not see a vector's length
            layers.append(kind)
    settings = folder / "config_sentence_transformers.json"
    settings = _read(settings) if settings.is_file() else {}
    prompts = tuple((name, text) for name, text in (settings.get("prompts") or {}).items() if text)
    return SentenceRules(transformer, pool, tuple(layers), prompts, settings.get("default_prompt_name") or "")


def _pool(config: dict[str, Any]) -> str:
    """The pool that a Pooling module's config names; several are concatenated."""
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
