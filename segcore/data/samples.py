"""Samples as a file stores them: indices of palettes, fractions of a byte, channels in their order.

The one place where PNG, TIFF and NPY files are decoded, for images and labels alike. What samples
mean, black or white, a colour or transparency, the header says, and its reader decides.
"""

from __future__ import annotations

import numpy as np

from segcore.data.header import Header
from segcore.data.npy import decode_npy
from segcore.data.png import decode_png
from segcore.data.tiff import UnreadableError, decode_tiff
from segcore.errors import ImageError, SegcoreError

__all__ = ["STORED", "decode_samples", "describe", "unreadable"]

STORED = ("PNG", "TIFF", "NPY")
"""The formats whose samples can be read as stored."""


def decode_samples(data: bytes, header: Header, source: str) -> np.ndarray:
    """Give the samples (H, W, C) of a complete file in one of the formats `STORED`.

    Raises ImageError, and PackageMissingError where the file takes a package that is missing.
    """
    try:
        if header.format == "PNG":
            samples = decode_png(data)
        elif header.format == "TIFF":
            samples = decode_tiff(data, source)
        else:
            samples = decode_npy(data)
            samples = samples if samples.ndim == 3 else samples[..., None]
        if samples.shape[:2] != (header.height, header.width):
            raise ValueError(f"{samples.shape[1]} x {samples.shape[0]} pixels")
    except (SegcoreError, MemoryError):
        raise
    except UnreadableError as error:
        raise unreadable(header, source, str(error)) from error
    except Exception as error:  # codecs raise whatever they like
        raise ImageError(
            f"{source}: the {header.format} data is damaged ({describe(error)}). "
            "Restore the file or remove its row.",
            kind="damaged",
        ) from error
    return samples


def unreadable(header: Header, source: str, what: str) -> ImageError:
    """Give the refusal of a sound file that holds `what` nothing here can read."""
    return ImageError(
        f"{source}: a {header.format} file with {what}, which is not read. Save it as PNG, or as "
        "an ordinary TIFF.",
        kind="unsupported",
    )


def describe(error: BaseException) -> str:
    """Give the last line of what a decoder said, or else the name of its error."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
