"""The public verbs on files, one module for each."""
