"""`Sound`: one channel of samples and their rate, passed from datasets to models of sounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel of sound.

    Attributes:
        samples: finite float32 values, shape (samples,), with at least one that differs from the others.
        rate: samples per second.
    """

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> Sound:
        """The sound at another rate, without its mean and with a peak of 1.

        All models get sounds at this loudness, so the loudness of a recording carries no information. The rate is
        changed by SciPy's polyphase filter (`scipy.signal.resample_poly`), which removes frequencies that the new rate
        cannot represent.

        Args:
            rate: samples per second, 1 or more.

        Cost: one pass; linear in the number of samples.
        """
        samples = self.samples.astype(np.float64)
        samples -= samples.mean()
        if rate != self.rate:
            from scipy.signal import resample_poly

            samples = resample_poly(samples, rate, self.rate)
        return Sound((samples / np.abs(samples).max().clip(1e-12)).astype(np.float32), rate)
