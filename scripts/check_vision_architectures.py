"""Writes docs/models/timm.md, open_clip.md and transformers_vision.md: python scripts/check_vision_architectures.py"""

import sys
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.architectures.vision import DOCS, pages


DOCS.mkdir(parents=True, exist_ok=True)
for name, text in pages():
    (DOCS / name).write_text(text, encoding="utf-8")
    print(f"wrote {DOCS / name}")
