"""Recipes: operations on models, written down in a file, checked whole, and done in as few passes as possible."""
