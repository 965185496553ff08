"""Random rotation about the centre, onto a canvas that holds the whole image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from segcore.data.transforms.raster import by_planes
from segcore.data.transforms.transform import (
    DEFAULTS,
    LabelValue,
    PixelValue,
    SampleTransform,
    or_default,
)

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomRotation"]


class RandomRotation(SampleTransform):
    """Rotate by a random angle; the canvas grows to hold all of the image."""

    max_rotation: float = Field(15.0, ge=0, le=180, description="Largest angle, in degrees")
    im_padding_value: PixelValue = Field(127.5, description="Pixel value beside the image")
    label_padding_value: LabelValue | None = Field(
        None, description="Label value beside the image; null takes data.ignore_index"
    )

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.max_rotation == 0:
            return sample
        return self.rotate(sample, float(rng.uniform(-self.max_rotation, self.max_rotation)))

    def rotate(self, sample: Sample, degrees: float) -> Sample:
        """Rotate by `degrees`, anticlockwise."""
        import cv2

        matrix, canvas = _rotation(*sample.size, degrees)
        image = by_planes(
            sample.image,
            lambda planes: cv2.warpAffine(
                planes,
                matrix,
                canvas,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(self.im_padding_value,) * 4,
            ),
        )
        label = sample.label
        if label is not None:
            label = cv2.warpAffine(
                label,
                matrix,
                canvas,
                flags=cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=or_default(self.label_padding_value, DEFAULTS.ignore_index),
            )
        size = canvas[1], canvas[0]
        instances = sample.instances and sample.instances.warped(matrix, size)
        return replace(sample, image=image, label=label, instances=instances)


def _rotation(height: int, width: int, degrees: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Give the affine matrix (2, 3) and the (width, height) of the canvas that holds the result."""
    import cv2
    import numpy as np

    centre = (width // 2, height // 2)
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    canvas = (
        max(int(height * sin + width * cos), 1),
        max(int(height * cos + width * sin), 1),
    )
    matrix[:, 2] += np.array(canvas) / 2 - centre
    return matrix, canvas
