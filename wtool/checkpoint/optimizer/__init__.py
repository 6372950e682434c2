"""The variables of a saved optimizer: which slot each one is, and of which weight."""
