"""Find, load and list plugins, without importing anything heavy."""
