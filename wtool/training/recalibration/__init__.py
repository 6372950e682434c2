"""Moving statistics of batch normalisation that become those of data."""
