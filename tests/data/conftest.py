from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from platorep.core.specs import DatasetSpec


@pytest.fixture
def pictures(tmp_path):
    """A folder of eight good pictures with captions, as (root, rows, write)."""
    root = tmp_path / "pictures"
    root.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(root / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": f"caption {i}"})

    def write(**more) -> DatasetSpec:
        (root / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        return DatasetSpec(name="mine", source="folder", id=str(root), **more)

    return root, rows, write
