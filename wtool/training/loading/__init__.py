"""From files to live models, looked at as data first."""
