"""Small archives, and programs that stand in for pip and apt-get."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

from platorep.core.specs import AssetSpec


FILES = {
    "pkg/data/a.txt": b"alpha",
    "pkg/data/deep/b.txt": b"beta",
    "pkg/__init__.py": b"raise SystemExit('never imported')",
}


def make_wheel(path: Path, files: dict[str, bytes] = FILES) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, raw in files.items():
            packed.writestr(zipfile.ZipInfo(name), raw)
    return hashlib.sha256(path.read_bytes()).hexdigest()


COMPRESSED = {"gz": partial(gzip.compress, mtime=0), "xz": lzma.compress, "bz2": bz2.compress, "": bytes}
"""Without the time, which gzip writes by default: the same files give the same bytes in every second."""


def make_tar(files: dict[str, bytes], compression: str = "gz", link: tuple[str, str] | None = None) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link[0])
            info.type, info.linkname = tarfile.SYMTYPE, link[1]
            packed.addfile(info)
    return COMPRESSED[compression](raw.getvalue())


def make_deb(
    path: Path, files: dict[str, bytes] = FILES, compression: str = "xz", link: tuple[str, str] | None = None
) -> str:
    def tar(content: dict[str, bytes], link: tuple[str, str] | None = None) -> bytes:
        known = compression if compression in COMPRESSED else ""  # one that cannot be read is never unpacked
        return make_tar({f"./{name}": data for name, data in content.items()}, known, link)

    ending = f".{compression}" if compression else ""
    data = tar(files, link)
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar{ending}": tar({"control": b"Package: x\n"}),
        f"data.tar{ending}": data,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        out.write(b"!<arch>\n")
        for name, raw in parts.items():
            out.write(
                f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(raw):<10}`\n".encode() + raw + b"\n" * (len(raw) % 2)
            )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, shutil, sys\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def wheel_asset(sha256: str | None, *members: str, name: str = "pkg==1.0") -> AssetSpec:
    return AssetSpec(source="wheel", id=name, sha256=sha256, members=members)


def fake_apt(tmp_path: Path, monkeypatch, text: str) -> Path:
    calls = tmp_path / "calls.txt"
    program(tmp_path / "bin" / "apt-get", f'open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")\n{text}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return calls


def deb_asset(sha256: str | None, *members: str) -> AssetSpec:
    return AssetSpec(source="deb", id="pkg=1:1.0-1", sha256=sha256, members=members)
