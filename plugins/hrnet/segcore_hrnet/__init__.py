"""HRNet-FCN and OCRNet for segcore, and HRNet as a backbone."""
