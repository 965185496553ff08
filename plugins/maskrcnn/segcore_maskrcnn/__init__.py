"""Mask R-CNN for segcore: instance segmentation."""
