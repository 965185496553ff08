"""DeepLabv3 and DeepLabv3+ for segcore."""
