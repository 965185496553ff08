"""Draw how often each class occurs in each split, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segcore.data.inspection.census import Census, SplitCensus

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageDraw import ImageDraw

__all__ = ["draw_histogram"]

_HEIGHT, _TOP, _BOTTOM, _LEFT, _RIGHT = 600, 60, 84, 96, 32
_MIN_WIDTH, _MAX_WIDTH = 960, 16384
_GROUP = 72  # pixels for the bars of a class, at most
_COLOURS = ((48, 105, 178), (240, 148, 62), (96, 158, 92))
_INK, _FAINT, _PAPER = (45, 45, 45), (222, 222, 222), (255, 255, 255)
_TEXT = 18
_NAME_SHOWN = 18


def draw_histogram(census: Census) -> Image.Image:
    """Draw a bar for each class and split. Classes carry their names where there is room."""
    from PIL import Image, ImageDraw

    splits = [split for split in census.splits if split.samples] or list(census.splits)
    seen = {number for split in splits for number in split.occurrences}
    numbers = sorted(seen | set(range(len(census.class_names))))
    group = min(_GROUP, max(1, (_MAX_WIDTH - _LEFT - _RIGHT) // max(1, len(numbers))))
    width = max(_MIN_WIDTH, _LEFT + group * len(numbers) + _RIGHT)
    group_width = (width - _LEFT - _RIGHT) / max(1, len(numbers))
    picture = Image.new("RGB", (width, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(picture)
    top = max((count for split in splits for count in split.occurrences.values()), default=1)
    step = _step(top)
    ceiling = -(-top // step) * step
    _draw_grid(draw, width, step, ceiling, f"{census.counted} that have the class")
    bar = max(1.0, min(44.0, 0.8 * group_width / len(splits)))
    for position, number in enumerate(numbers):
        middle = _LEFT + (position + 0.5) * group_width
        for place, split in enumerate(splits):
            left = middle + (place - len(splits) / 2) * bar
            count = split.occurrences.get(number, 0)
            box = (left, _y(count, ceiling), left + bar - 1, _y(0, ceiling))
            draw.rectangle(box, _COLOURS[place % len(_COLOURS)])
    _draw_names(draw, numbers, census.class_names, group_width)
    _draw_legend(draw, width, splits)
    return picture


def _y(count: float, ceiling: int) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * count / ceiling


def _step(top: int) -> int:
    """Give a round number that divides `top` into about five parts."""
    magnitude = 1
    while True:
        for factor in (1, 2, 5):
            if top <= 6 * factor * magnitude:
                return factor * magnitude
        magnitude *= 10


def _font(size: int = _TEXT) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (TypeError, OSError):  # Pillow before 10.1, or without FreeType: one small size
        return ImageFont.load_default()


def _draw_grid(draw: ImageDraw, width: int, step: int, ceiling: int, title: str) -> None:
    font = _font()
    for count in range(0, ceiling + 1, step):
        y = _y(count, ceiling)
        draw.line((_LEFT, y, width - _RIGHT, y), _FAINT if count else _INK, 1)
        text = f"{count:,}"
        draw.text((_LEFT - 12 - draw.textlength(text, font), y - 11), text, _INK, font)
    draw.text((_LEFT, 18), title, _INK, font)


def _draw_names(
    draw: ImageDraw, numbers: Sequence[int], names: Sequence[str], group_width: float
) -> None:
    font = _font()
    texts = [_label(number, names) for number in numbers]
    if max((draw.textlength(text, font) for text in texts), default=0) > group_width - 8:
        texts = [str(number) for number in numbers]
    widest = max((draw.textlength(text, font) for text in texts), default=0) + 8
    every = max(1, -int(-widest // group_width))
    for position, text in list(enumerate(texts))[::every]:
        middle = _LEFT + (position + 0.5) * group_width
        draw.text(
            (middle - draw.textlength(text, font) / 2, _HEIGHT - _BOTTOM + 12), text, _INK, font
        )
    title = "class"
    draw.text((_LEFT, _HEIGHT - 36), title, _INK, font)


def _label(number: int, names: Sequence[str]) -> str:
    """Give the name of a class if the font has its letters, else its number."""
    name = names[number] if number < len(names) else ""
    if not (name and name.isascii() and name.isprintable()):
        return str(number)
    return name if len(name) <= _NAME_SHOWN else f"{name[: _NAME_SHOWN - 3]}..."


def _draw_legend(draw: ImageDraw, width: int, splits: Sequence[SplitCensus]) -> None:
    font = _font()
    x = float(width - _RIGHT)
    for place, split in reversed(list(enumerate(splits))):
        text = f"{split.name} ({split.samples:,})"
        x -= draw.textlength(text, font)
        draw.text((x, 18), text, _INK, font)
        x -= 26
        draw.rectangle((x, 20, x + 16, 36), _COLOURS[place % len(_COLOURS)])
        x -= 24
