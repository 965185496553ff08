"""Formats that trained models are exported to, one a file."""
