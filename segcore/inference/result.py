"""What a semantic prediction is: class map, picture, JSON, and the files of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segcore.checkpoint.ownership import encode_picture, marked
from segcore.data.overlay import draw_overlay
from segcore.tasks.result import OVERLAY_MARK, RESULT_MARK, Result

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

    from segcore.tasks.result import Predicted

__all__ = ["LABEL_MARK", "SegmentationResult"]

LABEL_MARK = "segcore label map"
"""A mark in the files themselves, by which a later run knows them from photographs."""


@dataclass(frozen=True, eq=False)
class SegmentationResult(Result):
    """The classes of the pixels of one image.

    `label_map` is (H, W), uint8 up to 255 classes and uint16 above, in the size of `image`, which
    is (H, W, C) uint8 RGB or grey. `name` is where results go, relative to an output folder and
    without suffix; `source` is where the image came from. `class_names` may be shorter than the
    number of classes, where an exported model does not name them.
    """

    picture_marks: ClassVar = {".png": LABEL_MARK, "_overlay.jpg": OVERLAY_MARK}

    name: str
    source: str
    image: np.ndarray
    label_map: np.ndarray
    class_names: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    overlay_alpha: float = 0.5
    palette: np.ndarray | None = None
    origin: str | None = None

    @classmethod
    def of(cls, prediction: np.ndarray, predicted: Predicted) -> Self:
        """Make the result of a class map (H, W) and the image that it is of."""
        # where an export does not say how many classes there are, the smallest type that holds them
        if predicted.num_classes is None and prediction.max(initial=0) < 255:
            prediction = prediction.astype(np.uint8)
        return cls(
            predicted.name,
            predicted.source,
            predicted.image,
            prediction,
            predicted.class_names,
            predicted.facts,
            predicted.settings.overlay_alpha,
            predicted.palette,
            predicted.origin,
        )

    @cached_property
    def json(self) -> dict[str, Any]:
        """The source, the size, and how much of the image each class present covers."""
        height, width = self.label_map.shape
        counts = np.bincount(self.label_map.reshape(-1))
        present = np.flatnonzero(counts)
        content = {
            "source": self.source,
            "width": width,
            "height": height,
            **self.facts,
            "classes": [
                {
                    "id": int(number),
                    "name": self._class_name(int(number)),
                    "pixels": int(counts[number]),
                    "share": round(float(counts[number]) / (width * height), 6),
                }
                for number in present
            ],
        }
        return marked(content, RESULT_MARK)

    @cached_property
    def img(self) -> Image.Image:
        """The image with the classes laid over it, as an RGB picture of Pillow.

        Black classes, as the background is by default, leave the image as it is. Borders between
        classes are drawn in full colour.
        """
        from PIL import Image

        picture = draw_overlay(self.image, self.label_map, self.palette, self.overlay_alpha)
        return Image.fromarray(picture)

    def pictures(self) -> dict[str, bytes]:
        """Give the label map (classes as grey values) as `.png`, the overlay as `_overlay.jpg`."""
        return {".png": self._encode_label_map(), "_overlay.jpg": self.encode_picture(".jpg")}

    def _class_name(self, number: int) -> str:
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def _encode_label_map(self) -> bytes:
        from PIL import Image

        return encode_picture(Image.fromarray(self.label_map), "PNG", LABEL_MARK)
