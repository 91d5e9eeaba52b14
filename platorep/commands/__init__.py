"""One module per command, named like it: each takes an `Experiment`, calls engines, and writes tables."""
