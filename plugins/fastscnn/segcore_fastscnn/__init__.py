"""Fast-SCNN for segcore."""
