"""Files that a run depends on: checkpoints, weights, locks. Never imports paddle."""
