"""Brains and behaviour: similarity between noise ceilings, reliability, and encoding models with their confounds."""
