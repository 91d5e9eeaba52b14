"""Pure numerics on scores: nulls, calibration, intervals, layer choice, hubness, trends. No files, no configuration."""
