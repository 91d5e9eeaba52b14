"""Pure numerics on tensors: preprocessing, neighbours, and the metrics that compare two representations."""
