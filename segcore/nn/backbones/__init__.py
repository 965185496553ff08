"""Feature extractors that several families use."""
