"""Contact sheets: pictures in rows with what they are, and a legend of the classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segcore.checkpoint.files import DISK, prepare_output, storage_errors
from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.ownership import Guard, encode_picture, is_marked, marked_by, read_head
from segcore.data.overlay import draw_overlay
from segcore.data.report.record import Picture
from segcore.data.view.font import Font
from segcore.data.view.look import View
from segcore.errors import RequestError
from segcore.filesystem import is_link, list_names

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Layout", "check_sheets", "draw_sheets", "write_sheets"]

_MARK = "segcore data view"
_SHEET = re.compile(r"sheet_\d{3,}\.(?:jpg|png)")
_GAP = 12
_INK, _SOFT, _PAPER, _RAIL = (26, 31, 41), (89, 98, 111), (255, 255, 255), (232, 236, 242)
_LINES = 3  # of a caption: the name, and up to two of reasons
_IN_LEGEND = 60
_JPEG_QUALITY = 90
_MAX_SIDE = 16_000  # more than any viewer is happy with


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How sheets look: pictures beside and below each other, and the side of one in px."""

    columns: int = 4
    rows: int = 4
    side: int = 256
    font: Path | None = None


def write_sheets(
    view: View,
    folder: Path,
    layout: Layout,
    kind: Literal["jpg", "png"] = "jpg",
    guard: Guard | None = None,
) -> list[Path]:
    """Write the sheets of `view` into `folder`, as `sheet_001.jpg` and so on; give their paths.

    Sheets that an earlier call left there are replaced, and removed where there are fewer now.
    Nothing else is, unless `guard` lets it be. Raises OutputError and StorageError.
    """
    guard = guard or Guard()
    check_sheets(folder, len(view.pictures), layout, kind, guard)
    prepare_output(folder)
    paths = []
    with folder_lock(folder, says_so=True):
        for number, sheet in enumerate(draw_sheets(view, layout), 1):
            if kind == "jpg":
                data = encode_picture(sheet, "JPEG", _MARK, quality=_JPEG_QUALITY)
            else:
                data = encode_picture(sheet, "PNG", _MARK)
            paths.append(guard.write_file(_sheet(folder, number, kind), data, marked_by(_MARK)))
        with storage_errors(folder):
            for old in (folder / name for name in list_names(folder) if _SHEET.fullmatch(name)):
                is_old = old not in paths and not is_link(old)
                if is_old and is_marked(read_head(old), _MARK):
                    DISK.unlink(old)
    return paths


def check_sheets(folder: Path, pictures: int, layout: Layout, kind: str, guard: Guard) -> None:
    """Raise OutputError unless the sheets of so many pictures may be written into `folder`."""
    for number in range(1, math.ceil(pictures / (layout.columns * layout.rows)) + 1):
        guard.check_file(_sheet(folder, number, kind), marked_by(_MARK))


def _sheet(folder: Path, number: int, kind: str) -> Path:
    return folder / f"sheet_{number:03}.{kind}"


def draw_sheets(view: View, layout: Layout) -> Iterator[Image.Image]:
    """Draw the pictures of `view`, as many to a sheet as `layout` says."""
    if max(layout.columns, layout.rows) * (layout.side + 100) > _MAX_SIDE:
        raise RequestError(
            f"{layout.columns} x {layout.rows} pictures of {layout.side} px: no sheet is that "
            "large. Ask for fewer columns."
        )
    font = Font(max(11, layout.side // 18), layout.font)
    count = layout.columns * layout.rows
    for first in range(0, len(view.pictures), count):
        yield _Sheet(view, layout, font, view.pictures[first : first + count]).draw()


class _Sheet:
    """One sheet; all lengths are in px."""

    def __init__(self, view: View, layout: Layout, font: Font, pictures: Sequence[Picture]) -> None:
        self.view = view
        self.side = layout.side
        self.font = font
        self.pictures = pictures
        self.width_each = layout.side
        if any(picture.prediction is not None for picture in pictures):
            self.width_each = 2 * layout.side + _GAP // 2
        self.columns = min(layout.columns, len(pictures))
        self.width = max(_GAP + self.columns * (self.width_each + _GAP), 320)
        self.legend = list(self._lay_legend())
        self.caption_height = _LINES * font.line_height
        self.top = _GAP + (1 + self.legend[-1][2]) * font.line_height + _GAP

    def draw(self) -> Image.Image:
        """Draw the sheet."""
        from PIL import Image, ImageDraw

        rows = math.ceil(len(self.pictures) / self.columns)
        step = self.side + self.caption_height + _GAP
        sheet = Image.new("RGB", (self.width, self.top + rows * step), _PAPER)
        pen = ImageDraw.Draw(sheet)
        self._draw_legend(pen)
        for number, picture in enumerate(self.pictures):
            row, column = divmod(number, self.columns)
            x, y = _GAP + column * (self.width_each + _GAP), self.top + row * step
            self._place(sheet, picture.image, picture.label, (x, y))
            if picture.prediction is not None:
                place = (x + self.side + _GAP // 2, y)
                self._place(sheet, picture.image, picture.prediction, place)
            self._caption(pen, picture, x, y + self.side)
        return sheet

    def _place(
        self,
        sheet: Image.Image,
        image: np.ndarray,
        labels: np.ndarray | None,
        place: tuple[int, int],
    ) -> None:
        from PIL import Image

        drawn = image if labels is None else draw_overlay(image, labels, self.view.palette)
        factor = self.side / max(drawn.shape[:2])
        height, width = (max(1, round(length * factor)) for length in drawn.shape[:2])
        tile = Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC)
        x, y = place
        sheet.paste(_RAIL, (x, y, x + self.side, y + self.side))
        middle = (x + (self.side - width) // 2, y + (self.side - height) // 2)
        sheet.paste(tile, middle)

    def _caption(self, pen: Any, picture: Picture, x: int, y: int) -> None:
        font, width = self.font, self.width_each
        lines = [(font.fit(picture.source, width), _INK)]
        notes = [picture.place, *picture.notes]
        text = ""
        for note in notes:  # whole reasons, as many as two lines have room for
            longer = f"{text}, {font.drawable(note)}" if text else font.drawable(note)
            if text and font.width(longer) > width:
                lines.append((font.fit(text, width), _SOFT))
                longer = font.drawable(note)
            text = longer
        lines.append((font.fit(text, width), _SOFT))
        for number, (line, colour) in enumerate(lines[:_LINES]):
            pen.text((x, y + 2 + number * font.line_height), line, fill=colour, font=font.face)

    def _lay_legend(self) -> Iterator[tuple[int | None, str, int, int]]:
        """Give (class, text, row, x) of each entry; the class is None for plain text."""
        present: set[int] = set()
        for picture in self.pictures:
            for labels in (picture.label, picture.prediction):
                if labels is not None:
                    present.update(np.unique(labels).tolist())
        stats = self.view.stats
        entries: list[tuple[int | None, str]] = [
            (number, stats.class_names[number])
            for number in sorted(present)
            if number < len(stats.class_names)
        ]
        if len(entries) > _IN_LEGEND:
            entries[_IN_LEGEND:] = [(None, f"and {len(entries) - _IN_LEGEND} more classes")]
        if stats.ignore_index in present:
            entries.append((stats.ignore_index, self.view.void))
        row, x = 1, _GAP
        for number, name in entries or [(None, "")]:
            text = self.font.fit(name, self.width // 2)
            width = self.font.width(text) + 2 * self.font.size
            if x > _GAP and x + width > self.width:
                row, x = row + 1, _GAP
            yield number, text, row, x
            x += width + _GAP

    def _draw_legend(self, pen: Any) -> None:
        size = self.font.size
        order = self.font.fit(self.view.order, self.width - 2 * _GAP)
        pen.text((_GAP, _GAP), order, fill=_SOFT, font=self.font.face)
        for number, text, row, x in self.legend:
            y = _GAP + row * self.font.line_height
            start = x
            if number is not None:
                colour = tuple(self.view.palette[number].tolist())
                pen.rectangle((x, y + 2, x + size, y + 2 + size), fill=colour, outline=_SOFT)
                start = x + size + 6
            pen.text((start, y), text, fill=_INK, font=self.font.face)
