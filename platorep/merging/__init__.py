"""Networks of one architecture as points in one space of weights: matched, interpolated, repaired, averaged."""
