"""U-Net for segcore."""
