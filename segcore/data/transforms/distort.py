"""Random changes of colour: brightness, contrast, saturation, hue and sharpness.

The first three and the last are the enhancements of Pillow's `ImageEnhance`: a blend of the image
with black, with its mean grey, with its own greyscale, or with a smoothed copy. OpenCV and tables
do them several times faster than Pillow, within one grey level of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field

from segcore.data.transforms.raster import with_channels
from segcore.data.transforms.transform import Probability, SampleTransform

if TYPE_CHECKING:
    import numpy as np

    from segcore.tasks.sample import Sample

__all__ = ["RandomDistort", "brightness", "contrast", "hue", "saturation", "sharpness"]

Change: TypeAlias = "tuple[Callable[[np.ndarray, float], np.ndarray], float, float, float]"
"""What changes an image by a parameter, the centre and the reach of that, and the probability."""


class RandomDistort(SampleTransform):
    """Change colours at random, each property with its own probability, in random order.

    A range r lets the factor of a property vary in 1 - r .. 1 + r; that of the hue shifts it by up
    to r / 256 of the colour circle. Only RGB images have hue and saturation to change.
    """

    brightness_range: float = Field(0.5, ge=0, description="Largest change of the brightness")
    brightness_prob: Probability = Field(0.5, description="Probability of a brightness change")
    contrast_range: float = Field(0.5, ge=0, description="Largest change of the contrast")
    contrast_prob: Probability = Field(0.5, description="Probability of a contrast change")
    saturation_range: float = Field(0.5, ge=0, description="Largest change of the saturation")
    saturation_prob: Probability = Field(0.5, description="Probability of a saturation change")
    hue_range: float = Field(18.0, ge=0, le=128, description="Largest shift of the hue, of 256")
    hue_prob: Probability = Field(0.5, description="Probability of a shift of the hue")
    sharpness_range: float = Field(0.5, ge=0, description="Largest change of the sharpness")
    sharpness_prob: Probability = Field(0.0, description="Probability of a sharpness change")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        self._require_bytes(sample)
        image = sample.image
        changes = self._changes(image.shape[2])
        for number in rng.permutation(len(changes)):
            change, centre, reach, probability = changes[number]
            if rng.random() < probability:
                image = with_channels(
                    change(image, float(rng.uniform(centre - reach, centre + reach)))
                )
        return replace(sample, image=image)

    def _changes(self, channels: int) -> list[Change]:
        changes: list[Change] = [
            (brightness, 1.0, self.brightness_range, self.brightness_prob),
            (contrast, 1.0, self.contrast_range, self.contrast_prob),
            (sharpness, 1.0, self.sharpness_range, self.sharpness_prob),
        ]
        if channels == 3:
            changes += [
                (saturation, 1.0, self.saturation_range, self.saturation_prob),
                (hue, 0.0, self.hue_range, self.hue_prob),
            ]
        return changes


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: factor 0 is black, 1 the image itself."""
    return _blend_with_grey(image, 0.0, factor)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey level of the image."""
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image
    return _blend_with_grey(image, float(int(grey.mean() + 0.5)), factor)


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the greyscale of the image: factor 0 is grey, 1 the image itself."""
    import cv2

    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    blended: np.ndarray = cv2.addWeighted(image, factor, grey, 1.0 - factor, 0.0)
    return blended


def hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the colours by `shift` / 256 of the circle."""
    import cv2
    import numpy as np

    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    # Only whole steps exist in eight bits; around the circle they wrap, as unsigned sums do.
    table = (np.arange(256) + int(shift)).astype(np.uint8)
    hsv[..., 0] = cv2.LUT(np.ascontiguousarray(hsv[..., 0]), table)
    turned: np.ndarray = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
    return turned


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with a smoothed copy: factor 0 is smooth, 1 the image itself, above it sharper."""
    import cv2
    import numpy as np

    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5.0
    smooth = with_channels(cv2.filter2D(image, -1, kernel / kernel.sum()))
    # Pillow's smoothing leaves the outermost pixels alone.
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        smooth[edge] = image[edge]
    blended: np.ndarray = cv2.addWeighted(image, factor, smooth, 1.0 - factor, 0.0)
    return blended


def _blend_with_grey(image: np.ndarray, grey: float, factor: float) -> np.ndarray:
    import cv2
    import numpy as np

    values = grey + factor * (np.arange(256, dtype=np.float32) - grey)
    table = np.clip(values, 0, 255).astype(np.uint8)
    blended: np.ndarray = cv2.LUT(image, table)
    return blended
