"""Run trained models."""
