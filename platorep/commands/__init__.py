"""One module per command, named after it. A command takes an `Experiment`, calls engines, and writes tables."""
