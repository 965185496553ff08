"""The configuration: schema, reading, merging and printing."""
