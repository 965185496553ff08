"""Transforms of samples, one idea a file, by the names and with the defaults of PaddleSeg.

Each is a frozen pydantic model whose fields are its options, called with a sample and a generator
of random numbers. Images are (H, W, C) RGB, uint8 until `Normalize`; labels are (H, W) integers and
keep their type. Nothing here imports cv2 before a sample is transformed.
"""
