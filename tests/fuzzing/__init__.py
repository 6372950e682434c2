"""Generators of hostile files, each with second readers: what wtool opens, every other reader has to see alike.

A kind is a module with `run(seed, numbers)`, which goes through those cases of a seed and gives a `Summary`. Case n of
a seed is always the same file.
"""
