"""Soups: averages whose ingredients are chosen by their scores on held-out data."""
