"""Experiments of the papers that followed the hypothesis, on stored features: one module each, named as its figure."""
