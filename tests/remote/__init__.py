"""Stores on this machine, and every command against them."""
