"""One module per command, with the command's name: takes an `Experiment`, calls engines, and writes tables."""
