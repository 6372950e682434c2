"""From live models to files."""
