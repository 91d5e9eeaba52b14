"""Functional compatibility: a layer of one network, through an affine map, in the place of a layer of another."""
