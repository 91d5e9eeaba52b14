"""Datasets as the Hub lays them out: the paper's pairs, a card with several configs, VTAB's tar files."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import soundfile
from PIL import Image
from pyarrow import parquet as pq

from tests.hub.builder import GITATTRIBUTES
from tests.hub.builder_tokenizers import WORDS
from tests.hub.repositories import Files, Repository
from tests.hub.server import Hub


def pictures(count: int, side: int = 24, seed: int = 0) -> list[Image.Image]:
    """Pictures of coloured noise whose first colour grows along the list, so that neighbours mean something."""
    drawn = []
    for number in range(count):
        pixels = np.random.default_rng([seed, number]).integers(0, 128, (side, side, 3), dtype=np.uint8)
        pixels[..., 0] = 255 * number // count
        drawn.append(Image.fromarray(pixels))
    return drawn


def captions(count: int) -> list[str]:
    return [f"{WORDS[i % len(WORDS)][:-1]}, number {i}." for i in range(count)]


def parquet(columns: dict[str, Sequence[Any]], features: datasets.Features) -> bytes:
    out = io.BytesIO()
    datasets.Dataset.from_dict(dict(columns), features=features).to_parquet(out)
    return out.getvalue()


def pairs(count: int = 32, *, seed: int = 0) -> Files:
    """The branch wit_1024 of minhuh/prh: parquet of `image` and `text`, which is a list of captions."""
    features = datasets.Features({"image": datasets.Image(), "text": datasets.List(datasets.Value("string"))})
    first = captions(count)
    columns = {"image": pictures(count, seed=seed), "text": [[text, f"Another word for it: {text}"] for text in first]}
    return {**GITATTRIBUTES, "data/train-00000-of-00001.parquet": parquet(columns, features)}


def add_prh(hub: Hub, count: int = 32, *, seed: int = 0) -> Repository:
    """minhuh/prh: main holds .gitattributes alone, the pairs are on the branch wit_1024."""
    repository = hub.add("minhuh/prh", GITATTRIBUTES, "dataset")
    repository.commit(pairs(count, seed=seed), "wit_1024")
    return repository


def recaptioned(count: int = 16) -> Files:
    """askoepke/wit_1m_recaptioned: two configs in the card's header, captions in columns of their own."""
    features = datasets.Features(
        {"image": datasets.Image(), **{f"{who}_caption": datasets.Value("string") for who in ("original", "gemini")}}
    )
    card = """---
configs:
- config_name: wit_1m
  data_files:
  - split: train
    path: wit_1m/train-*
- config_name: wit_1024
  data_files:
  - split: train
    path: wit_1024/train-*
---
"""
    files = {**GITATTRIBUTES, "README.md": card.encode()}
    for config, rows, seed in (("wit_1m", 2 * count, 1), ("wit_1024", count, 0)):
        told = captions(rows)
        columns = {"image": pictures(rows, seed=seed), "original_caption": told, "gemini_caption": told[::-1]}
        files[f"{config}/train-00000-of-00001.parquet"] = parquet(columns, features)
    return files


def webdataset(per_split: int = 6, *, tars: int = 1) -> Files:
    """clip-benchmark/wds_*: SPLIT/N.tar beside SPLIT/nshards.txt, names and templates of the classes at the top."""
    files = {
        **GITATTRIBUTES,
        "classnames.txt": b"red\ngreen\nblue\n",
        "zeroshot_classification_templates.txt": b"a photo of {c}\n",
    }
    for split in ("train", "test"):
        files[f"{split}/nshards.txt"] = str(tars).encode()
        shown = pictures(per_split * tars, seed=split == "test")
        for number in range(tars):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                for i in range(number * per_split, (number + 1) * per_split):
                    picture = io.BytesIO()
                    shown[i].save(picture, "webp", lossless=True)
                    for ending, raw in (("cls", str(i % 3).encode()), ("webp", picture.getvalue())):
                        member = tarfile.TarInfo(f"s{i:07d}.{ending}")
                        member.size = len(raw)
                        tar.addfile(member, io.BytesIO(raw))
            files[f"{split}/{number}.tar"] = out.getvalue()
    return files


def sounds(text: str, captions_of: Sequence[Any], ids: tuple[str, Sequence[Any]]) -> Files:
    """A set of sounds in parquet: `audio` with the bytes of WAV files, captions in the column `text`, and ids."""
    cells = []
    for number in range(len(captions_of)):
        out = io.BytesIO()
        soundfile.write(out, np.sin(np.arange(2000) * (0.1 + 0.05 * number)), 8000, format="WAV")
        cells.append({"bytes": out.getvalue(), "path": f"{number}.wav"})
    several = isinstance(captions_of[0], list)
    kind = datasets.List(datasets.Value("string")) if several else datasets.Value("string")
    number = datasets.Value("string" if isinstance(ids[1][0], str) else "int64")
    features = datasets.Features({"audio": datasets.Audio(), text: kind, ids[0]: number})
    columns = {"audio": cells, text: list(captions_of), ids[0]: list(ids[1])}
    # the library writes sounds with another library, which would decode and encode them
    table = pa.table(columns).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features.to_dict()}})}
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    raw = out.getvalue()
    return {**GITATTRIBUTES, **{f"data/{split}-00000-of-00001.parquet": raw for split in ("train", "test")}}
