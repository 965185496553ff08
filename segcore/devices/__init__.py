"""Kinds of devices, one a file."""
