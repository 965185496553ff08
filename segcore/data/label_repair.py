"""Make a label what it was meant to be, where that loses nothing: indices, upright, 8 bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from segcore.data.colour import is_grey, pack_colours
from segcore.data.decode import decode_image, orient
from segcore.data.header import Header, read_header
from segcore.data.label import decode_label, map_label
from segcore.errors import ImageError, LabelError

__all__ = ["Colour", "LabelRules", "Picture", "indices_of", "repair_label"]

Colour = tuple[int, int, int]

_SHOWN = 5


@dataclass(frozen=True)
class LabelRules:
    """What the owner of the labels says about them.

    `colours` gives the class of each RGB colour, `label_map` the replacement of values.
    `drawn_as_stored` says that labels which fit their image both ways were drawn without a look at
    its EXIF orientation.
    """

    label_map: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    drawn_as_stored: bool = False
    max_pixels: int = 2**28


@dataclass(frozen=True)
class Picture:
    """The image of a label: (H, W) as stored, its EXIF orientation, and so (H, W) upright."""

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Give (H, W) as the image is used."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored

    @property
    def is_ambiguous(self) -> bool:
        """Say whether a label's size does not tell if it was drawn upright."""
        return self.orientation != 1 and self.stored == self.upright


def repair_label(
    data: bytes, source: str, picture: Picture, rules: LabelRules
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Give the label (H, W) as it should be stored, uint8 or uint16, and what was done to it.

    Nothing done means that `data` is right as it is. Raises LabelError for what cannot be repaired
    without loss or without a guess.
    """
    header = _header(data, source)
    own_orientation = header.orientation if header.format == "PNG" else 1
    if own_orientation != 1:
        data = _without_exif(data)
    label, done = _read_indices(data, source, rules)
    if header.layout == "palette" and not done:
        done.append("label-palette")
    if own_orientation != 1:
        label = _settle_orientation(label, own_orientation, picture, source)
        done.append("label-orientation")
    label = _turn(label, picture, rules, source, done)
    mapped = map_label(label, rules.label_map)
    if not np.array_equal(mapped, label):
        done.append("label-value")
    highest = int(mapped.max(initial=0))
    if highest > 65535:
        raise LabelError(f"{source}: value {highest} is too large for a label.", "label-deep-value")
    if header.bits > 8 and highest <= 255:
        done.append("label-deep")
    return mapped.astype(np.uint8 if highest <= 255 else np.uint16), tuple(done)


@lru_cache(maxsize=4)
def _class_table(classes: tuple[tuple[Colour, int], ...]) -> np.ndarray:
    """Give the class of every colour, as `pack_colours` numbers them; -1 where there is none."""
    table = np.full(2**24, -1, np.int32)
    for (red, green, blue), value in classes:
        table[red << 16 | green << 8 | blue] = value
    return table


def indices_of(image: np.ndarray, colours: Mapping[Colour, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the class (H, W) int32 of each pixel of an RGB image (H, W, 3) uint8, and its strangers.

    The second array holds the colours (n, 4) that `colours` does not name, each with its count.
    """
    packed = pack_colours(image)
    label: np.ndarray = _class_table(tuple(colours.items()))[packed]
    lost, counts = np.unique(packed[label < 0], return_counts=True)
    strangers = np.stack([lost >> 16, lost >> 8 & 255, lost & 255, counts], axis=1)
    return label, strangers.astype(np.int64)


def _header(data: bytes, source: str) -> Header:
    try:
        return read_header(data, source)
    except ImageError as error:
        raise LabelError(str(error), error.kind) from error


def _read_indices(data: bytes, source: str, rules: LabelRules) -> tuple[np.ndarray, list[str]]:
    """Read a label, also one with colours or an opaque alpha channel."""
    try:
        return decode_label(data, source, rules.max_pixels), []
    except LabelError as error:
        if error.kind == "label-lossy":
            raise LabelError(
                f"{source}: JPEG has changed the values, and nothing brings them back. Export the "
                "label again, as PNG.",
                error.kind,
            ) from error
        if error.kind not in ("label-colours", "label-alpha"):
            raise
        return _read_colours(data, source, rules, error)


def _read_colours(
    data: bytes, source: str, rules: LabelRules, refusal: LabelError
) -> tuple[np.ndarray, list[str]]:
    header = _header(data, source)
    if header.bits != 8 or header.is_inverted or header.alpha == "multiplied":
        raise refusal  # as a picture it would have other values than those that are stored
    try:
        image, codes = decode_image(data, source)
    except ImageError as error:
        raise refusal from error
    if "transparent" in codes:
        raise LabelError(
            f"{source}: has transparent pixels, and only its owner knows their class. Fill them.",
            "label-alpha",
        )
    done = ["label-alpha"] if "alpha" in codes else []
    has_greys = is_grey(image)
    strangers = np.zeros((0, 4), np.int32)
    if rules.colours:
        label, strangers = indices_of(image, rules.colours)
        if not len(strangers):
            if has_greys:
                _refuse_ambiguity(image[..., 0], label, rules, source)
            return label, [*done, "label-colours"]
    if has_greys:
        return image[..., 0], [*done, *([] if done else ["label-channels"])]
    if not rules.colours:
        raise LabelError(
            f'{refusal} Say which is which: --colours "#rrggbb=1,...", or in labels.txt.',
            "label-colours",
        )
    rows = strangers[strangers[:, 3].argsort()[::-1]].tolist()
    shown = ", ".join(f"#{r:02x}{g:02x}{b:02x} ({n} pixels)" for r, g, b, n in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    raise LabelError(
        f"{source}: colours that are no class: {shown}{more}. Add them to --colours or labels.txt.",
        "label-colours",
    )


def _refuse_ambiguity(
    stored: np.ndarray, label: np.ndarray, rules: LabelRules, source: str
) -> None:
    """Refuse greys that are classes as colours, and other classes as plain values."""
    differing = stored != label
    if differing.any() and stored.max() <= max(rules.colours.values()):
        value = int(stored[differing].max())
        raise LabelError(
            f"{source}: its three channels agree, so {value} may be a class by itself, or the "
            f"colour #{value:02x}{value:02x}{value:02x}. Leave that colour out if it is a class.",
            "label-colours",
        )


def _settle_orientation(
    label: np.ndarray, orientation: int, picture: Picture, source: str
) -> np.ndarray:
    """Apply or drop the EXIF orientation of the label itself, whichever fits the image."""
    turned = orient(label, orientation)
    if label.shape == turned.shape:
        raise LabelError(
            f"{source}: has EXIF orientation {orientation}, and fits its image with and without. "
            "Save it upright, without EXIF data.",
            "label-orientation",
        )
    return turned if turned.shape == picture.upright else label


def _turn(
    label: np.ndarray, picture: Picture, rules: LabelRules, source: str, done: list[str]
) -> np.ndarray:
    """Turn a label that was drawn on the pixels as stored, as its image is turned."""
    fits_stored = picture.orientation != 1 and label.shape == picture.stored
    if fits_stored and (not picture.is_ambiguous or rules.drawn_as_stored):
        done.append("label-exif")
        return orient(label, picture.orientation)
    if label.shape != picture.upright:
        height, width = picture.upright
        raise LabelError(
            f"{source}: {label.shape[1]} x {label.shape[0]} pixels, but its image has {width} x "
            f"{height}. Export it again in that size.",
            "label-size",
        )
    return label


def _without_exif(data: bytes) -> bytes:
    """Leave the eXIf chunks of a PNG out; its header has been read, so the chunks are sound."""
    kept, position = [data[:8]], 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] != b"eXIf":
            kept.append(data[position:end])
        position = end
    return b"".join(kept)
