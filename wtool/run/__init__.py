"""The order of events: which tensors, which blocks, which optimizer variables, which models, which targets."""
