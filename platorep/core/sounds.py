"""`Sound`: what datasets hand to models that hear, one channel of samples and their rate."""

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

        All models hear sounds at this loudness, so that how loud a recording is tells none of them anything. The rate
        is changed by scipy's polyphase filter (`scipy.signal.resample_poly`), which removes what the new rate cannot
        hold.

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
