"""Figures of the theory's experiments: each module has the function `theory_NAME` of the tables of experiment NAME."""
