"""Repositories as the loopback Hub holds them, and what its API says of them."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal


Files = dict[str, bytes]
Kind = Literal["model", "dataset"]

LARGE = (".safetensors", ".bin", ".parquet", ".tar", ".model", ".gguf", ".h5", ".msgpack", ".pt", ".pth")
"""Files that the Hub keeps outside of git, whatever their size; so are all of more than 10 MB."""


@dataclass
class Repository:
    """One model or dataset: files by commit, and what branches and tags point to."""

    id: str
    kind: Kind
    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        """Puts the files, and no others, at the tip of a branch; returns the commit."""
        content = json.dumps([self.id, self.branches.get(branch), *sorted((p, git_sha1(b)) for p, b in files.items())])
        commit = hashlib.sha1(content.encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    def find(self, revision: str) -> str | None:
        """The commit that a branch, a tag or a commit means."""
        named = {**self.tags, **self.branches}
        return named.get(revision) or (revision if revision in self.commits else None)

    def tree(self, commit: str, folder: str = "", *, recursive: bool = True) -> list[dict[str, Any]]:
        """The entries of a folder at a commit, as /tree lists them; none if there is no such folder."""
        entries, folders = [], set()
        for path, content in sorted(self.commits[commit].items()):
            if folder and not path.startswith(f"{folder}/"):
                continue
            above = path.split("/")[:-1]
            deeper = [
                "/".join(above[: depth + 1]) for depth in range(len(folder.split("/")) if folder else 0, len(above))
            ]
            folders |= set(deeper if recursive else deeper[:1])
            if recursive or not deeper:
                entries.append(_entry(path, content))
        listed = [{"type": "directory", "path": path, "size": 0, "oid": git_sha1(path.encode())} for path in folders]
        return sorted(listed + entries, key=lambda entry: entry["path"])

    def information(self, commit: str, *, blobs: bool) -> dict[str, Any]:
        """What /api/models/ID says of a commit; with `blobs` the sizes and hashes of its files, too."""
        siblings = []
        for entry in self.tree(commit):
            if entry["type"] == "file":
                more = {"size": entry["size"], "blobId": entry["oid"]} if blobs else {}
                if blobs and "lfs" in entry:
                    more["lfs"] = {"sha256": entry["lfs"]["oid"], "size": entry["size"], "pointerSize": 134}
                siblings.append({"rfilename": entry["path"], **more})
        parameters = _parameters(self.commits[commit])
        more = {"safetensors": {"parameters": parameters, "total": sum(parameters.values())}} if parameters else {}
        if "config.json" in self.commits[commit]:  # of which the Hub tells a few fields
            config = json.loads(self.commits[commit]["config.json"])
            more["config"] = {
                name: config[name] for name in ("architectures", "model_type", "auto_map") if name in config
            }
        return {
            "_id": commit[:24], "id": self.id, "sha": commit, "private": self.private, "disabled": False,
            "gated": "manual" if self.gated else False, "downloads": 1, "likes": 0, "tags": [],
            "siblings": siblings, **more,
        }  # fmt: skip


@lru_cache(maxsize=512)
def git_sha1(content: bytes) -> str:
    """The hash by which git knows a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@lru_cache(maxsize=512)
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def is_large(path: str, content: bytes) -> bool:
    """Whether the Hub keeps a file outside of git."""
    return path.endswith(LARGE) or len(content) > 10_000_000


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
    if is_large(path, content):
        entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
    return entry


def _parameters(files: Files) -> dict[str, int]:
    """Numbers of elements by dtype, from the headers of the safetensors files at the top of a repository."""
    counts: dict[str, int] = {}
    for path, content in files.items():
        if not path.endswith(".safetensors") or "/" in path:
            continue
        (length,) = struct.unpack("<Q", content[:8])
        if length > len(content):  # a test's damaged file
            continue
        header = json.loads(content[8 : 8 + length])
        for name, tensor in header.items():
            if name != "__metadata__":
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    return counts
