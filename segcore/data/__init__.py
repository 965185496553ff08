"""Datasets: lists, images, labels, transforms, sampling and loading. Never imports paddle."""
