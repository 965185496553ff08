"""Tiles that cover a large image exactly, each with a margin that the network sees as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from segcore.data.transforms.raster import MAX_PIXELS
from segcore.errors import RequestError
from segcore.given import as_integer

__all__ = ["Span", "Tile", "check_tiling", "check_window", "mirrored", "tiles"]


@dataclass(frozen=True)
class Span:
    """A tile along one side: from `start` to `stop` in the image, `pad` more to both ends."""

    start: int
    stop: int
    pad: int

    @property
    def own(self) -> slice:
        """What the tile owns, in the image."""
        return slice(self.start, self.stop)

    @property
    def own_inside(self) -> slice:
        """What the tile owns, within its window."""
        return slice(self.pad, self.pad + self.stop - self.start)

    def window(self, side: int) -> np.ndarray:
        """Give the indices of the window's pixels along a side of the image."""
        return mirrored(self.start - self.pad, self.stop + self.pad, side)


@dataclass(frozen=True)
class Tile:
    """A tile of an image: `rows` and `columns`."""

    rows: Span
    columns: Span

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Give the window of the tile out of `image` (H, W, C), mirrored beyond its border."""
        rows = self.rows.window(image.shape[0])
        columns = self.columns.window(image.shape[1])
        window: np.ndarray = image[rows[:, None], columns]
        return window


def tiles(
    size: tuple[int, int], tile_size: tuple[int, int], pad_size: tuple[int, int]
) -> Iterator[Tile]:
    """Cover an image of `size` (H, W), row by row; each pixel belongs to one tile.

    `tile_size` and `pad_size` are (width, height) in pixels; the last tile of a row or column is
    as small as what is left. Sizes of no pixels give no tile.
    """
    (height, width), (tile_w, tile_h), (pad_w, pad_h) = size, tile_size, pad_size
    for rows, columns in product(_spans(height, tile_h, pad_h), _spans(width, tile_w, pad_w)):
        yield Tile(rows, columns)


def _spans(side: int, tile: int, pad: int) -> list[Span]:
    return [Span(start, min(start + tile, side), pad) for start in range(0, side, tile)]


def mirrored(start: int, stop: int, side: int) -> np.ndarray:
    """Give the indices `start` to `stop` of a side, folded back at both ends as often as needed.

    The border itself is repeated, as PaddleX does: -1 is 0, and `side` is `side - 1`.
    """
    place = np.arange(start, stop) % (2 * side)
    return np.minimum(place, 2 * side - 1 - place)


def check_tiling(tile_size: tuple[int, ...], pad_size: tuple[int, ...], batch_size: int) -> None:
    """Raise RequestError for sizes that are none."""
    for name, pair, least in (("tile_size", tile_size, 1), ("pad_size", pad_size, 0)):
        sides = [as_integer(n) for n in pair]
        if len(pair) != 2 or any(n is None or n < least for n in sides):
            raise RequestError(
                f"{name}={list(pair)}: give [width, height] in pixels, {least} or more"
            )
    if (as_integer(batch_size) or 0) < 1:
        raise RequestError(f"batch_size={batch_size!r}: give 1 or more")


def check_window(
    size: tuple[int, int], tile_size: tuple[int, ...], pad_size: tuple[int, ...]
) -> None:
    """Raise RequestError where a tile of an image of `size` (H, W) is more than is run at once."""
    height, width = size
    (tile_w, tile_h), (pad_w, pad_h) = tile_size, pad_size
    sides = min(tile_w, width) + 2 * pad_w, min(tile_h, height) + 2 * pad_h
    if sides[0] * sides[1] > MAX_PIXELS:
        raise RequestError(
            f"tile_size={list(tile_size)}, pad_size={list(pad_size)}: the network would see "
            f"{sides[0]} x {sides[1]} pixels, and no more than {MAX_PIXELS} are run at once. Lower "
            "them."
        )
