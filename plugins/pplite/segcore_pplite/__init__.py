"""PP-LiteSeg for segcore."""
