"""What an instance prediction is: objects, picture, JSON, and the files of them."""

from __future__ import annotations

from collections.abc import Mapping
from colorsys import hsv_to_rgb
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segcore.checkpoint.ownership import marked
from segcore.data.overlay import rgb_of
from segcore.data.view.font import Font
from segcore.tasks.result import OVERLAY_MARK, RESULT_MARK, Result
from segcore.tasks.rle import decode_mask, rle_area, rle_box, rle_json

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

    from segcore.tasks.instances import Detections
    from segcore.tasks.result import Predicted

__all__ = ["InstanceResult"]

_GOLDEN_RATIO = 0.618034  # steps of this round the circle of hues never come near each other soon
_OUTLINE_SHARE = 1 / 400  # of the shorter side of the picture
_TEXT_SHARE = 1 / 32
_SMALLEST_TEXT_PX, _LARGEST_TEXT_PX = 10, 40


@dataclass(frozen=True, eq=False)
class InstanceResult(Result):
    """The objects in one image, best first.

    `detections` are in pixels of `image`, which is (H, W, C) uint8. `name` is where results go,
    relative to an output folder and without suffix; `source` is where the image came from.
    `palette` (classes, 3) uint8 colours the objects by their classes; without one every object has
    a colour of its own.
    """

    picture_marks: ClassVar = {"_overlay.jpg": OVERLAY_MARK}

    name: str
    source: str
    image: np.ndarray
    detections: Detections
    class_names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    overlay_alpha: float = 0.5
    palette: np.ndarray | None = None
    origin: str | None = None

    @classmethod
    def of(cls, prediction: Detections, predicted: Predicted) -> Self:
        """Make the result of detections, of which those count that score high enough."""
        threshold = predicted.settings.score_threshold
        return cls(
            predicted.name,
            predicted.source,
            predicted.image,
            prediction.above(threshold),
            predicted.class_names,
            {**predicted.facts, "score_threshold": threshold},
            predicted.settings.overlay_alpha,
            predicted.palette,
            predicted.origin,
        )

    @cached_property
    def json(self) -> dict[str, Any]:
        """The source, the size, and each object with its box x, y, width, height and COCO's RLE."""
        height, width = self.detections.size
        content = {
            "source": self.source,
            "width": width,
            "height": height,
            **self.facts,
            "instances": [
                {
                    "id": int(number),
                    "name": self._class_name(int(number)),
                    "score": round(float(score), 6),
                    "bbox": _as_xywh(box),
                    "area": rle_area(mask),
                    "segmentation": rle_json(mask),
                }
                for number, score, box, mask in zip(
                    self.detections.classes,
                    self.detections.scores,
                    self.detections.boxes,
                    self.detections.masks,
                    strict=True,
                )
            ],
        }
        return marked(content, RESULT_MARK)

    @cached_property
    def img(self) -> Image.Image:
        """The image with each object tinted, outlined and named, the best ones on top."""
        import cv2
        from PIL import Image, ImageDraw

        height, width = self.detections.size
        picture = rgb_of(self.image).copy()
        thickness = max(1, round(min(height, width) * _OUTLINE_SHARE))
        worst_first = range(len(self.detections) - 1, -1, -1)
        for number in worst_first:
            mask, colour = self.detections.masks[number], self._colour(number)
            x, y, across, down = rle_box(mask)
            window = np.s_[y : y + down, x : x + across]
            inside = decode_mask(mask)[window]
            if inside.size:
                # a table in place of the sums: pictures can be large
                values = np.arange(256)[:, None] * (1 - self.overlay_alpha)
                table = (values + colour * self.overlay_alpha).astype(np.uint8)[None]
                np.copyto(
                    picture[window], cv2.LUT(picture[window], table), where=inside[..., None] > 0
                )
            outlines, _ = cv2.findContours(
                np.ascontiguousarray(inside),
                cv2.RETR_EXTERNAL,
                cv2.CHAIN_APPROX_SIMPLE,
                offset=(x, y),
            )
            cv2.drawContours(picture, outlines, -1, colour.tolist(), thickness)
        drawn = Image.fromarray(picture)
        canvas = ImageDraw.Draw(drawn)
        text_px = np.clip(min(height, width) * _TEXT_SHARE, _SMALLEST_TEXT_PX, _LARGEST_TEXT_PX)
        font = Font(round(float(text_px)))
        for number in worst_first:
            self._draw_box(canvas, number, thickness, font)
        return drawn

    def pictures(self) -> dict[str, bytes]:
        """Give the drawing as `_overlay.jpg`."""
        return {"_overlay.jpg": self.encode_picture(".jpg")}

    def _draw_box(self, canvas: Any, number: int, thickness: int, font: Font) -> None:
        """Draw the box, and the name with the score on a plate at its upper left corner."""
        width = self.detections.size[1]
        x1, y1, x2, y2 = (float(side) for side in self.detections.boxes[number])
        shade = self._colour(number)
        colour = tuple(shade.tolist())
        canvas.rectangle((x1, y1, max(x2, x1), max(y2, y1)), outline=colour, width=thickness)
        name = self._class_name(int(self.detections.classes[number]))
        text = font.fit(f"{name} {self.detections.scores[number]:.2f}", width)
        _, _, right, bottom = canvas.textbbox((0, 0), text, font=font.face)
        left = min(max(x1, 0), max(width - right - 3, 0))
        top = y1 - bottom - 3 if y1 >= bottom + 3 else y1  # inside where there is no room above
        canvas.rectangle((left, top, left + right + 3, top + bottom + 3), fill=colour)
        is_light = shade @ (0.299, 0.587, 0.114) > 140
        ink = (0, 0, 0) if is_light else (255, 255, 255)
        canvas.text((left + 2, top + 1), text, font=font.face, fill=ink)

    def _colour(self, number: int) -> np.ndarray:
        """Give the colour (3,) of object `number`, bright and unlike those of its neighbours."""
        colour: np.ndarray
        if self.palette is not None:
            colour = self.palette[self.detections.classes[number] % len(self.palette)]
        else:
            hue = number * _GOLDEN_RATIO % 1.0
            colour = np.rint(255 * np.array(hsv_to_rgb(hue, 0.8, 1.0))).astype(np.uint8)
        return colour

    def _class_name(self, number: int) -> str:
        return self.class_names[number] if number < len(self.class_names) else str(number)


def _as_xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(side) for side in box)
    return [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]
