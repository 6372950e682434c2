"""The training loop, and what goes on inside it."""
