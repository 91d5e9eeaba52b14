"""Paired datasets: pictures and captions of the same objects, with ids, checked once for all models."""

from __future__ import annotations

from platorep.data.open import PairedDataset, open_dataset, settled


__all__ = ["PairedDataset", "open_dataset", "settled"]
