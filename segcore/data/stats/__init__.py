"""What is in a dataset: counted image by image, and never more than a few images in memory."""
