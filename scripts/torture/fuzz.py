"""Wrong words and wrong metadata: a sentence and an exit status, never a traceback."""

from __future__ import annotations

import json
import random
import shutil
import string
from pathlib import Path

import pandas as pd
from child import run
from PIL import Image
from world import COMMON, World, last_line


LIMIT = 60.0
"""Seconds after which a command that runs on is stopped: its words were accepted."""

FOREIGN = ("HYDRA_FULL_ERROR", "To append to your config", "Or add a second +", "object_type=")
"""Advice of the libraries that read the words: it does not help, and none of it should reach a user."""

VERBS = (
    "run", "extract", "align", "gallery", "competence", "plot", "report", "captions", "reproduce", "simulate", "ls",
    "doctor", "store verify", "store rm", "store export", "store import", "store repair", "rnu", "",
)  # fmt: skip

KEYS = (
    "suite", "dataset", "dataset.n", "dataset.id", "dataset.source", "dataset.order_seed", "metric",
    "metric.mutual_knn.k", "protocol", "protocol.select", "protocol.pairs", "protocol.clip", "protocol.quantile",
    "statistics.permutations", "statistics.seed", "statistics.strata", "compute", "compute.device",
    "compute.tokens", "compute.workers", "compute.threads", "compute.shard_rows", "compute.memory",
    "compute.compile", "shard", "only", "layers", "prompt", "span", "caption", "picture", "combine", "max_tokens",
    "overlong", "storage_dtype", "dtype", "pool", "evict", "overwrite", "figure", "gallery.sizes",
    "gallery.queries", "gallery.share", "gallery.seed", "gallery.search", "scores", "corpus", "corpus.max_bytes",
    "probe", "captions", "captions.words", "captions.batch", "captions.temperature", "models.pixels.seed",
    "models.pixels.id", "models.pixels.modality", "models.pixels.input_size", "models.vit_random.weight_noise",
    "experiment", "world", "root", "what", "json", "sweep", "nonsense", "dataset.nonsense", "hydra.run.dir",
    "hydra.job_logging",
)  # fmt: skip

VALUES = (
    "0", "1", "-1", "3", "1e9", "99999999999999999999999", "nan", "inf", "-inf", "0.5", "true", "null", "", "none",
    "all", "last", "depth:.", "depth:2", "depth:0.5", "a/b", "0/2", "2/2", "[]", "[1,2]", "[a,[b]]", "{a: 1}", "{}",
    "'", '"', "${x}", "${oc.env:HOME}", "$(date)", "../..", "/", ".", "~", "a b", "ü", "模型", "\u202e", "x" * 300,
    "\\", "%s", "{caption}", "max", "cross", "cuda:99", "mps", "float99", "3GB", "infGB", "-1GB", "mutual_knn",
    "cka,rsa", "cosine", "prh", "heldout", "synthetic", "folder", "hub", "fig3", "stamps",
)  # fmt: skip

PREFIXES = ("", "", "", "+", "++", "~")

OPTIONS = (
    "-m",
    "--cfg job",
    "--cfg",
    "--help",
    "--config-dir /nowhere",
    "--config-dir",
    "--config-name x",
    "--version",
    "-x",
    "--",
    "--info",
)


def words(chance: random.Random) -> list[str]:
    """A command line that nobody should type."""
    line = chance.choice(VERBS).split()
    line += [word for word in COMMON if chance.random() < 0.8]
    for _ in range(chance.randint(1, 3)):
        value = chance.choice(VALUES)
        if chance.random() < 0.2:
            value = "".join(chance.choices(string.printable[:95], k=chance.randint(1, 12)))
        if chance.random() < 0.15:
            line += chance.choice(OPTIONS).split()
        elif chance.random() < 0.1:
            line.append(value)
        else:
            line.append(f"{chance.choice(PREFIXES)}{chance.choice(KEYS)}={value}")
    return line


def line_trial(world: World, before: Path, seed: int) -> tuple[str, list[str]]:
    """One command line; whether it was refused or accepted, and what is wrong."""
    chance = random.Random(seed)
    folder, line = world.copy(before), words(random.Random(seed + chance.randrange(1)))
    try:
        ended = run(line, folder, limit=LIMIT)
        foreign = next((advice for advice in FOREIGN if advice in ended.output), None)
        wrong = [f"{line}: {foreign or last_line(ended)}"] if ended.traceback or foreign else []
        return "ran on" if ended.timed_out else "refused" if ended.code else "accepted", wrong
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# metadata -------------------------------------------------------------------------------------------------------------


def pairs(folder: Path) -> None:
    """A folder dataset of eight pictures with captions, its metadata in the three kinds that are read."""
    folder.mkdir()
    rows = []
    for i in range(8):
        Image.new("RGB", (16, 16), (30 * i, 255 - 30 * i, 10 * i)).save(folder / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": f"a square of colour {i}", "category": "ab"[i % 2]})
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "metadata.csv", index=False)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame.to_parquet(folder / "metadata.parquet", index=False)


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """Metadata with one to three random changes: to bytes, to lines, or to fields."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw) + 1)
        kind = chance.choice(["flip", "insert", "delete", "lines", "field", "bom", "empty"])
        if kind == "flip" and at < len(raw):
            raw = raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
        elif kind == "insert":
            odd = chance.choice(
                [b"\0", b"\xff", b",", b'"', b"\n", b"\r", b"{", b"null", b"../", b"\xe2\x80\xae", b"1e999", b"NaN"]
            )
            raw = raw[:at] + odd + raw[at:]
        elif kind == "delete":
            raw = raw[:at] + raw[at + chance.randint(1, 9) :]
        elif kind == "lines":
            lines = raw.split(b"\n")
            chance.shuffle(lines)
            raw = b"\n".join(lines[: chance.randint(1, len(lines))])
        elif kind == "field":
            old, new = chance.choice(
                [(b"file_name", b"file"), (b"text", b"words"), (b".png", b".txt"), (b"square", b""), (b"a ", b"\n")]
            )
            raw = raw.replace(old, new)
        elif kind == "bom":
            raw = chance.choice([b"\xef\xbb\xbf", b"\xff\xfe"]) + raw
        elif kind == "empty" and chance.random() < 0.2:
            raw = b""
    return raw


def metadata_trial(world: World, seed: int) -> tuple[str, list[str]]:
    """Extracts a folder whose metadata were changed; whether it was refused or accepted, and what is wrong."""
    chance = random.Random(seed)
    folder = world.scratch / "trials" / f"metadata{seed}"
    folder.mkdir()
    try:
        pairs(folder / "pairs")
        kept = chance.choice(["metadata.csv", "metadata.jsonl", "metadata.parquet"])
        for path in (folder / "pairs").glob("metadata.*"):
            path.unlink() if path.name != kept else path.write_bytes(mutated(path.read_bytes(), chance))
        line = ["extract", *COMMON, "dataset=folder", "dataset.id=pairs", "dataset.n=null", "only='tfidf,pixels'"]
        if chance.random() < 0.5:
            line.append("dataset.on_bad_sample=drop")
        ended = run(line, folder, limit=LIMIT)
        wrong = [f"{kept} (seed {seed}): {last_line(ended)}"] if ended.traceback else []
        return "refused" if ended.code else "accepted", wrong
    finally:
        shutil.rmtree(folder, ignore_errors=True)
