"""Converting datasets from one format to another.

One file a format, which reads, writes or both; `run` takes any reader to any writer.
"""
