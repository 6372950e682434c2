"""Keras as data: layers, optimizers, configurations, graphs and shapes. Opens no file."""
