"""evict removes what was fetched, and only that."""

import hashlib
import zipfile

from platorep.assets import cached, fetch
from platorep.core.specs import AssetSpec, ModelSpec
from platorep.models import evict


def test_evict_removes_the_unpacked_asset_and_leaves_a_local_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PLATOREP_CACHE", str(tmp_path / "cache"))
    downloads = tmp_path / "cache" / "downloads"
    downloads.mkdir(parents=True)
    wheel = downloads / "toy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toy/weights.pth", b"weights")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    asset = AssetSpec(source="wheel", id="toy==1.0", sha256=digest, members=("toy/weights.pth",))
    fetch(asset)
    assert cached(asset) is not None
    spec = ModelSpec(name="toy", modality="vision", source="timm", id="toy", asset=asset, revision=digest)
    evict(spec)
    assert cached(asset) is None
    local = tmp_path / "mine"
    local.mkdir()
    evict(spec.replace(asset=AssetSpec(source="path", id=str(local))))
    assert local.is_dir()
