"""Reports on datasets: one HTML file that needs nothing else, not even scripts."""
