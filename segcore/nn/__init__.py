"""Building blocks of networks, public to plugins."""
