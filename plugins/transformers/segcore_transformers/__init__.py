"""SegFormer, SeaFormer and MaskFormer for segcore."""
