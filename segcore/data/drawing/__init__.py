"""Synthetic photographs with exact labels, drawn from a seeded generator."""
