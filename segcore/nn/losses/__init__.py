"""Losses: layers whose `forward(logits, labels)` gives a scalar.

Logits are (N, C, H, W), labels (N, H, W) or (N, 1, H, W) of integers, never changed in place.
Ignored pixels give exactly no gradient, and a batch without any other pixel a loss of 0.
"""
