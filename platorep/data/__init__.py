"""Paired datasets: pictures and captions of the same things, with ids, checked once and the same for every model."""

from __future__ import annotations

from platorep.data.open import PairedDataset, open_dataset, settled


__all__ = ["PairedDataset", "open_dataset", "settled"]
