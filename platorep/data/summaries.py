"""Summaries of captions with a given number of words, written by an instruction-tuned language model.

They are the data of Figure 9 of the PRH. The result is a folder dataset: pictures and a metadata.parquet. Its columns
words_5, words_10, ... hold the summaries, and `text` holds the original caption. The options
`dataset=folder dataset.id=FOLDER dataset.columns.text=words_10` extract it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import torch

from platorep.core.errors import SpecError, StoreError
from platorep.core.files import read_json, read_record, write_atomically, write_record
from platorep.core.ranges import check_seed
from platorep.core.samples import Samples
from platorep.core.specs import ModelSpec


log = logging.getLogger(__name__)

INSTRUCTION = (
    "You are given a full-text description of an image. You should summarize it into about {words} words, being sure "
    "to include as much salient visual information as possible given the {words} word constraint, especially "
    "information from the start of the original description. The new description should apply for the original "
    "image. Respond with only the summary, in one line."
)
"""The system prompt that the PRH prints in its Appendix E; the user's turn is the original caption."""

TOKENS_A_WORD = 4
"""New tokens per requested word, to which SLACK is added; longer summaries are cut."""
SLACK = 16


class Pairs(Protocol):
    """The part of a dataset that summarising uses."""

    @property
    def spec(self) -> Any: ...

    @property
    def samples(self) -> Samples: ...

    def picture(self, index: int) -> Any:
        """One decoded picture."""


@dataclass(frozen=True)
class Decoding:
    """Settings of the generation, recorded with the summaries.

    `temperature=0` decodes greedily without the seed. Otherwise, tokens are sampled with a new seed for each batch.
    Batches are determined by their size and the order of items, so a resumed run gives the same text.
    """

    batch: int = 8
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.temperature < 0:
            raise SpecError(
                f"captions: batch is {self.batch} and temperature {self.temperature}; "
                "expected at least 1 and at least 0."
            )
        check_seed("captions.seed", self.seed)


def summarise(
    spec: ModelSpec,
    pairs: Pairs,
    words: Sequence[int],
    folder: Path,
    *,
    decoding: Decoding,
    device: torch.device,
    progress: Callable[[int, int, str], object] | None = None,
) -> Path:
    """Writes a folder dataset with a summary of every first caption at every length.

    Each batch of summaries is a file under `parts/`; a resumed run only generates missing batches.

    Args:
        spec: a resolved causal language model; the chat template of its tokenizer is used, if any.
        pairs: an opened dataset.
        words: requested lengths.
        folder: the folder to write to, created if necessary.
        decoding: settings of the generation.
        device: the device.
        progress: called after each batch.

    Returns:
        `folder`.

    Raises:
        SpecError: a length is below 1, or the model does not generate text.
        StoreError: the folder was written with another model, dataset, prompt or decoding.
    """
    if not words or min(words) < 1:
        raise SpecError(f"captions.words is {list(words)}; expected lengths of at least 1.")
    recipe = {
        "model": spec.identity(),
        "dataset": pairs.spec.identity(),
        "samples": pairs.samples.digest,
        "instruction": INSTRUCTION,
        "decoding": {"batch": decoding.batch, "temperature": decoding.temperature, "seed": decoding.seed},
        "new_tokens": f"{TOKENS_A_WORD} a word and {SLACK}",
    }
    recipe = json.loads(json.dumps(recipe))
    if (old := _stored_recipe(folder)) is not None and old != recipe:
        differ = ", ".join(name for name in recipe if old.get(name) != recipe[name])
        raise StoreError(f"{folder} holds summaries made with another {differ}. Remove it, or write to another root.")
    write_record(folder / "recipe.json", recipe)
    originals = [captions[0] for captions in pairs.samples.captions]
    starts = range(0, len(originals), decoding.batch)
    parts = {
        (count, start): folder / "parts" / f"words_{count}-{start:06d}.json" for count in words for start in starts
    }
    missing = [
        (count, start)
        for (count, start), path in parts.items()
        if len(_summaries(path)) != len(originals[start : start + decoding.batch])
    ]
    writer: _Writer | None = None
    for done, (count, start) in enumerate(missing, 1):
        writer = writer or _Writer(spec, decoding, device)
        summaries = writer(originals[start : start + decoding.batch], count, decoding.seed + start)
        write_record(parts[count, start], {"summaries": summaries})
        if progress is not None:
            progress(done, len(missing), f"{count} words")
    frame = _pictures(pairs, folder).assign(text=originals)
    for count in words:
        frame[f"words_{count}"] = [text for start in starts for text in _summaries(parts[count, start])]
        if empty := int((frame[f"words_{count}"] == "").sum()):
            log.warning(
                "%d of %d summaries of %d words are empty; extract with dataset.on_bad_sample=drop",
                empty,
                len(frame),
                count,
            )
    write_atomically(folder / "metadata.parquet", lambda p: frame.to_parquet(p, index=False, compression="zstd"))
    return folder


def _stored_recipe(folder: Path) -> dict[str, Any] | None:
    """The settings of the summaries in a folder; None if there are none yet.

    Raises:
        StoreError: the file of settings is damaged.
    """
    path = folder / "recipe.json"
    try:
        return read_record(path) if path.is_file() else None
    except StoreError as error:
        raise StoreError(error.fault, f"Remove {folder}, and run the same command again.") from None


def _summaries(path: Path) -> list[str]:
    """The stored summaries of one batch; empty if their file is missing or damaged."""
    if not path.is_file():
        return []
    try:
        stored = read_json(path, (dict, list))
        texts = stored if isinstance(stored, list) else read_record(path).get("summaries")  # lists: earlier versions
    except StoreError as error:
        log.warning("%s It is generated again.", error.fault)
        return []
    return texts if isinstance(texts, list) and all(isinstance(text, str) for text in texts) else []


def first_line(text: str) -> str:
    """The first non-blank line of a model's answer, without enclosing quotation marks."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for mark, close in (('"', '"'), ("“", "”"), ("'", "'")):
        inner = line[1:-1]
        if len(line) > 1 and line[0] == mark and line[-1] == close and mark not in inner and close not in inner:
            return inner.strip()
    return line


def _pictures(pairs: Pairs, folder: Path) -> pd.DataFrame:
    """Writes missing pictures without loss; returns their columns of the metadata."""
    rows = []
    for index, sample in enumerate(pairs.samples.ids):
        path = folder / "pictures" / f"{index:06d}.png"
        if not path.is_file():
            write_atomically(path, partial(pairs.picture(index).save, format="PNG"))
        rows.append({"file_name": f"pictures/{path.name}", "id": sample})
    frame = pd.DataFrame(rows)
    return frame if pairs.samples.categories is None else frame.assign(category=pairs.samples.categories)


class _Writer:
    """A causal language model that answers a system prompt and a caption."""

    def __init__(self, spec: ModelSpec, decoding: Decoding, device: torch.device) -> None:
        from platorep.models.sources import load

        encoder: Any = load(spec, device)  # it is asked what it has
        if not getattr(encoder, "causal", False):
            raise SpecError(f"{spec.name} does not generate text; captions.model must be a causal language model.")
        self.model, self.tokenizer, self.pad, self.decoding = encoder.model, encoder.tokenizer, encoder.pad, decoding

    @torch.inference_mode()
    def __call__(self, captions: Sequence[str], words: int, seed: int) -> list[str]:
        ids = [self._prompt(caption, words) for caption in captions]
        width, device = max(map(len, ids)), self.model.device
        tokens = torch.tensor(
            [[self.pad] * (width - len(row)) + row for row in ids], device=device
        )  # answers follow: pad on the left
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in ids], device=device)
        how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if self.decoding.temperature > 0:
            how = {"do_sample": True, "temperature": self.decoding.temperature, "top_p": 1.0, "top_k": 0}
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            answers = self.model.generate(
                tokens, attention_mask=mask, max_new_tokens=TOKENS_A_WORD * words + SLACK, pad_token_id=self.pad, **how
            )
        return [first_line(self.tokenizer.decode(row[width:], skip_special_tokens=True)) for row in answers]

    def _prompt(self, caption: str, words: int) -> list[int]:
        system = INSTRUCTION.format(words=words)
        if self.tokenizer.chat_template is None:
            return self.tokenizer(f"{system}\n\n{caption}\n\n")["input_ids"]
        turns = [{"role": "system", "content": system}, {"role": "user", "content": caption}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]
