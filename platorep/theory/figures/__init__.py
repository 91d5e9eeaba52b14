"""Figures of the theory's experiments. The function `theory_NAME` of a module draws the tables of experiment NAME."""
