"""How files name their tensors: one module or a few for each layout."""
