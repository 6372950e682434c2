"""Configurations of Keras 2 become those of Keras 3, as data: rules, and what they did."""
