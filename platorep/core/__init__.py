"""Specs, store, results, provenance and errors: the types that all subpackages share. Does not import torch."""
