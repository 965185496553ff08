"""Look at a dataset: its oddest samples first, on sheets of pictures."""
