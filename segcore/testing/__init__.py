"""For plugin authors: the conformance kit and fault injection."""
