"""Models with other layers: graphs of architectures, edited as data. No bytes, no live models."""
