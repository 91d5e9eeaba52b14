"""Specs, store, results, provenance and errors: the types every other room speaks. Loads without torch."""
