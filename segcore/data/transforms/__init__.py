"""Transforms of samples, one idea a file, by the names that PaddleSeg gave them."""
