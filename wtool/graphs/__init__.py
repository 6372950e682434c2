"""Architectures edited as data: channels that stand elsewhere, layers put in or exchanged. No bytes, no live models."""
