"""What a sample, a batch, a loss and a prediction are, for each task."""
