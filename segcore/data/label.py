"""Decode labels: class indices exactly as stored, never colours, never rescaled values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from segcore.data.colour import MOST_COLOURS, count_colours, is_grey
from segcore.data.decode import with_pillow
from segcore.data.header import Header, read_header
from segcore.data.samples import STORED, decode_samples, unreadable
from segcore.errors import ImageError, LabelError

__all__ = [
    "MOST_CLASSES",
    "check_label_values",
    "decode_label",
    "is_blended",
    "is_mask",
    "map_label",
]

MOST_CLASSES = 65536
"""As many as a label of 16 bits can hold, and a configuration can name."""

_SHOWN = 5  # values or colours listed in a message


def decode_label(data: bytes, source: str, max_pixels: int = 2**28) -> np.ndarray:
    """Decode `data`, the content of a label file, to class indices.

    Gives (H, W) uint8, or int32 where the file stores more than 8 bits. A palette image gives its
    indices. Raises LabelError for anything that is no single-channel lossless image of non-negative
    integers, and for an EXIF orientation: nobody can tell whether it was applied when drawing.
    """
    try:
        header = read_header(data, source)
    except ImageError as error:
        raise LabelError(str(error), error.kind) from error
    _check_header(header, source, max_pixels)
    label = _decode_pixels(data, header, source)
    if label.dtype.kind == "f":
        raise LabelError(
            f"{source}: {label.dtype} values. Save class indices as an 8-bit PNG.",
            kind="label-float",
        )
    if label.ndim != 2:
        raise _refuse_channels(label, header, source)
    if label.dtype == np.uint8:
        return label
    if label.size and label.min() < 0:
        count = int((label < 0).sum())
        raise LabelError(
            f"{source}: {count} pixels are negative (lowest {label.min()}). Save class indices as "
            "an 8-bit PNG, with 255 for pixels to ignore.",
            kind="label-negative",
        )
    if label.size and label.max() > np.iinfo(np.int32).max:
        raise LabelError(
            f"{source}: holds the value {label.max()}, and classes end at 65535. Save class "
            "indices as an 8-bit PNG.",
            kind="label-deep-value",
        )
    return label.astype(np.int32)


def _check_header(header: Header, source: str, max_pixels: int) -> None:
    if header.is_lossy or header.format in ("GIF", "WebP", "NPY"):
        why = header.format
        if header.is_lossy:
            why = "a lossy label: JPEG changes values"
            if header.format != "JPEG":
                why = f"a lossy label: its {header.format} compression changes values"
        raise LabelError(
            f"{source}: {why}. Save labels as single-channel PNG files.",
            kind="label-lossy" if header.is_lossy else "label-format",
        )
    if header.unreadable:
        refusal = unreadable(header, source, header.unreadable)
        raise LabelError(str(refusal), refusal.kind)
    if header.width * header.height > max_pixels:
        raise LabelError(
            f"{source}: {header.width} x {header.height} pixels are more than "
            f"data.max_pixels={max_pixels}. Tile the label or raise data.max_pixels.",
            kind="too-large",
        )
    if header.has_more_frames:
        raise LabelError(
            f"{source}: holds several frames. Save one label per PNG file.", kind="label-format"
        )
    if header.orientation != 1:
        raise LabelError(
            f"{source}: has EXIF orientation {header.orientation}. Save the label upright, without "
            "EXIF data.",
            kind="label-orientation",
        )
    if not header.is_complete:
        raise LabelError(f"{source}: truncated. Restore the file.", kind="truncated")


def _decode_pixels(data: bytes, header: Header, source: str) -> np.ndarray:
    """Give what the file stores: (H, W), or (H, W, C) where a pixel has several values."""
    try:
        if header.format in STORED:
            samples = decode_samples(data, header, source)
            return samples[..., 0] if samples.shape[2] == 1 else samples
        return with_pillow(data, header.format, source, _read_bitmap)[0]
    except ImageError as error:
        raise LabelError(str(error), error.kind) from error


def _read_bitmap(image: Any) -> np.ndarray:
    pixels = np.array(image)
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def _refuse_channels(label: np.ndarray, header: Header, source: str) -> LabelError:
    if label.shape[2] != 3 or label.dtype not in (np.uint8, np.uint16):
        what = "an alpha channel" if header.alpha else f"{label.shape[2]} channels"
        return LabelError(
            f"{source}: has {what}. Save class indices as a single-channel PNG.",
            kind="label-alpha" if header.alpha else "label-colours",
        )
    colours = count_colours(label)
    if not colours.is_all:
        many = "three channels of greys" if is_grey(label) else f"more than {MOST_COLOURS} colours"
        return LabelError(
            f"{source}: {many} instead of class indices. Is it an image? Save labels as "
            "single-channel PNG files.",
            kind="label-colours",
        )
    top = list(colours.counts.items())
    shown = ", ".join(f"{colour}: {count} pixels" for colour, count in top[:_SHOWN])
    more = f" and {len(top) - _SHOWN} more" if len(top) > _SHOWN else ""
    return LabelError(
        f"{source}: colours instead of class indices ({shown}{more}). "
        "Convert it to a single-channel PNG, one index per colour.",
        kind="label-colours",
    )


@lru_cache(maxsize=16)
def _map_table(pairs: tuple[tuple[int, int], ...], is_deep: bool) -> np.ndarray:
    table = np.arange(65536 if is_deep else 256, dtype=np.int32)
    for old, new in pairs:
        if 0 <= old < table.size:
            table[old] = new
    return table if is_deep or table.max() > 255 else table.astype(np.uint8)


def map_label(label: np.ndarray, label_map: Mapping[int, int] | None) -> np.ndarray:
    """Replace label values by `label_map`, all at once; values that it does not name stay."""
    if not label_map:
        return label
    table = _map_table(tuple(sorted(label_map.items())), label.dtype != np.uint8)
    if label.dtype == np.uint8 and table.dtype == np.uint8:
        import cv2

        mapped: np.ndarray = cv2.LUT(label, table)
        return mapped
    return np.where(label < table.size, table[np.minimum(label, table.size - 1)], label)


@lru_cache(maxsize=16)
def _refused_table(num_classes: int, ignore_index: int) -> np.ndarray:
    table = np.arange(256) >= num_classes
    if ignore_index < 256:
        table[ignore_index] = False
    return table.astype(np.uint8)


def check_label_values(
    label: np.ndarray, source: str, num_classes: int, ignore_index: int = 255
) -> None:
    """Raise LabelError unless every value of (H, W) `label` is below `num_classes` or ignored."""
    if label.size and label.max() < num_classes:
        return
    if label.dtype == np.uint8:
        import cv2

        refused: np.ndarray = cv2.LUT(label, _refused_table(num_classes, ignore_index))
        if cv2.countNonZero(refused) == 0:
            return
        refused = refused.astype(bool)
    else:
        refused = (label >= num_classes) & (label != ignore_index)
        if not refused.any():
            return
    if is_blended(label):
        raise LabelError(
            f"{source}: {np.count_nonzero(refused)} pixels along edges have values between those "
            "of their neighbours, as smoothing leaves them (anti-aliasing). Draw or scale the "
            "label without it.",
            kind="label-antialiased",
        )
    values, counts = np.unique(label[refused], return_counts=True)
    kind = "label-value"
    if is_mask(label):
        kind = "label-mask"
    elif values[-1] > 255:
        kind = "label-deep-value"
    message = _describe_values(values, counts, source, num_classes, ignore_index)
    raise LabelError(message, kind=kind)


def is_mask(label: np.ndarray) -> bool:
    """Say whether `label` (H, W) holds 255 and nothing else but 0."""
    import cv2

    if label.dtype != np.uint8:
        return bool(((label == 0) | (label == 255)).all() and (label == 255).any())
    others = cv2.inRange(label, 1, 254)
    return cv2.countNonZero(others) == 0 and cv2.countNonZero(label) > 0


def is_blended(label: np.ndarray) -> bool:
    """Say whether `label` (H, W) looks smoothed: most of its values stand at edges alone.

    Such a value is between those of its neighbours nearly wherever it occurs. Classes that are one
    pixel wide are no evidence: it takes at least six such values.
    """
    import cv2

    if min(label.shape) < 8 or label.max() > 65535:
        return False
    counts = np.bincount(label.ravel())
    values = np.flatnonzero(counts)
    if values.size < 8:
        return False
    picture = label if label.dtype == np.uint8 else label.astype(np.uint16)
    around = np.ones((3, 3), np.uint8)
    between = (cv2.erode(picture, around) < picture) & (picture < cv2.dilate(picture, around))
    at_edges = np.bincount(label[between], minlength=counts.size)
    passing = int((at_edges[values] > 0.9 * counts[values]).sum())
    return passing >= max(6, values.size // 2)


def _describe_values(
    values: np.ndarray, counts: np.ndarray, source: str, num_classes: int, ignore_index: int
) -> str:
    found = ", ".join(
        f"{count} pixels have class {value}"
        for value, count in zip(values[:_SHOWN], counts[:_SHOWN], strict=True)
    )
    if len(values) > _SHOWN:
        found += f" and {len(values) - _SHOWN} more values are wrong"
    highest = int(values[-1])
    if values.tolist() == [255] and num_classes == 2:
        way_out = "For a mask of 0 and 255 set data.label_map={255: 1}"
    elif highest < 2 * num_classes:
        way_out = f"Fix the label or set data.num_classes={highest + 1}"
    else:
        way_out = f"Fix the label or map the value, such as data.label_map={{{highest}: 1}}"
    return (
        f"{source}: {found}, but num_classes is {num_classes} (valid: 0 to {num_classes - 1}, "
        f"{ignore_index} is ignored). {way_out}."
    )
