"""Transforms by the names, parameters and defaults of `paddlex.seg.transforms` 1.x.

They only describe: each stands for a transform of segcore with its options, and the engine builds
that. Where PaddleX has a parameter that segcore's transform does not have, any value but the one
that segcore follows is refused by name. Sizes are in pixels, as one side or [width, height].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from segcore.errors import ConfigError, RequestError

__all__ = [
    "Compose",
    "ComposedSegTransforms",
    "Normalize",
    "Padding",
    "RandomBlur",
    "RandomDistort",
    "RandomHorizontalFlip",
    "RandomPaddingCrop",
    "RandomRotate",
    "RandomScaleAspect",
    "RandomVerticalFlip",
    "Resize",
    "ResizeByLong",
    "ResizeByShort",
    "ResizeRangeScaling",
    "ResizeStepScaling",
    "SegTransform",
]

Sides: TypeAlias = "int | Sequence[int]"

_GREY = (127.5, 127.5, 127.5)
_ZERO, _FULL = (0, 0, 0), (255.0, 255.0, 255.0)


class SegTransform:
    """A transform of images and labels: `component` is what the configuration says of it.

    It is None for what the engine does anyway. `settings` are further values of the configuration,
    by dotted key, that it asks for.
    """

    def __init__(self, name: str | None, **options: Any) -> None:
        self.component: dict[str, Any] | None = None if name is None else {"type": name, **options}
        self.settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.component})"


class Compose:
    """Transforms in the order in which they are applied."""

    def __init__(self, transforms: Sequence[SegTransform]) -> None:
        if not isinstance(transforms, list | tuple) or not transforms:
            raise RequestError("Compose: give a list of transforms, at least one")
        for transform in transforms:
            if not isinstance(transform, SegTransform):
                raise RequestError(
                    f"Compose: {transform!r} is none of segcore.trainable.transforms; those of "
                    "imgaug are not supported, write a plugin with the hook segcore_transforms"
                )
        self.transforms = list(transforms)

    def components(self) -> list[dict[str, Any]]:
        """Give what the configuration says of each."""
        return [dict(t.component) for t in self.transforms if t.component is not None]

    def settings(self) -> dict[str, Any]:
        """Give the further settings that the transforms ask for, by dotted key."""
        merged: dict[str, Any] = {}
        for transform in self.transforms:
            merged.update(transform.settings)
        return merged


class ComposedSegTransforms(Compose):
    """PaddleX's usual transforms: for training with `mode="train"`, else for measuring."""

    def __init__(
        self,
        mode: str,
        min_max_size: Sequence[int] | None = (400, 600),
        train_crop_size: Sides = (512, 512),
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        random_horizontal_flip: bool = True,
    ) -> None:
        if mode not in ("train", "eval", "test"):
            raise RequestError(f"mode={mode!r}: give 'train', 'eval' or 'test'")
        steps: list[SegTransform] = []
        if mode == "train":
            if random_horizontal_flip:
                steps.append(RandomHorizontalFlip())
            if min_max_size is not None:
                steps.append(ResizeRangeScaling(min(min_max_size), max(min_max_size)))
            steps.append(RandomPaddingCrop(crop_size=train_crop_size))
        elif min_max_size is not None:
            steps.append(ResizeByLong((min(min_max_size) + max(min_max_size)) // 2))
        super().__init__([*steps, Normalize(mean=mean, std=std)])


class RandomHorizontalFlip(SegTransform):
    """Exchange left and right with the probability `prob`."""

    def __init__(self, prob: float = 0.5) -> None:
        super().__init__("RandomHorizontalFlip", prob=float(prob))


class RandomVerticalFlip(SegTransform):
    """Exchange top and bottom with the probability `prob`."""

    def __init__(self, prob: float = 0.1) -> None:
        super().__init__("RandomVerticalFlip", prob=float(prob))


class Resize(SegTransform):
    """Resize to `target_size`."""

    def __init__(self, target_size: Sides, interp: str = "LINEAR") -> None:
        super().__init__("Resize", target_size=_sides(target_size), interp=interp)


class ResizeByLong(SegTransform):
    """Scale so that the long side gets `long_size` pixels."""

    def __init__(self, long_size: int) -> None:
        super().__init__("ResizeByLong", long_size=long_size)


class ResizeByShort(SegTransform):
    """Scale so that the short side gets `short_size` pixels, the long one at most `max_size`."""

    def __init__(self, short_size: int = 800, max_size: float = 1333) -> None:
        # PaddleX: no limit where max_size is not above 0
        limit = {"max_size": float(max_size)} if max_size > 0 else {}
        super().__init__("ResizeByShort", short_size=short_size, **limit)


class ResizeRangeScaling(SegTransform):
    """Scale so that the long side gets a random length between the two values."""

    def __init__(self, min_value: int = 400, max_value: int = 600) -> None:
        super().__init__("ResizeRangeScaling", min_value=min_value, max_value=max_value)


class ResizeStepScaling(SegTransform):
    """Scale by a random factor, one of equal steps between two bounds."""

    def __init__(
        self,
        min_scale_factor: float = 0.75,
        max_scale_factor: float = 1.25,
        scale_step_size: float = 0.25,
    ) -> None:
        super().__init__(
            "ResizeStepScaling",
            min_scale_factor=float(min_scale_factor),
            max_scale_factor=float(max_scale_factor),
            scale_step_size=float(scale_step_size),
        )


class Normalize(SegTransform):
    """Scale from `min_val`..`max_val` to 0..1, subtract `mean` and divide by `std`, by channel.

    The channels are red, green, blue. A `max_val` above 255 is about images deeper than 8 bits:
    they are scaled to 0..255 when they are read (`data.value_range`), so it must be the same for
    all channels, as must `min_val`.
    """

    def __init__(
        self,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        min_val: Sequence[float] = _ZERO,
        max_val: Sequence[float] = _FULL,
    ) -> None:
        low, high = [float(v) for v in min_val], [float(v) for v in max_val]
        means, deviations = [float(v) for v in mean], [float(v) for v in std]
        settings: dict[str, Any] = {}
        if max(high) > 255:
            if len({*low}) > 1 or len({*high}) > 1:
                raise ConfigError(
                    f"Normalize.max_val={list(max_val)}, min_val={list(min_val)}: above 255 they "
                    "must be the same for all channels, since they become data.value_range"
                )
            settings["data.value_range"] = [low[0], high[0]]
        elif {*low} != {0.0} or {*high} != {255.0}:
            # ((x - low) / (high - low) - mean) / std, written for x / 255
            spans = [
                (b - a) / 255
                for a, b in zip(_as_long(low, means), _as_long(high, means), strict=True)
            ]
            low = _as_long(low, means)
            means = [a / 255 + m * span for a, m, span in zip(low, means, spans, strict=True)]
            deviations = [s * span for s, span in zip(deviations, spans, strict=True)]
        super().__init__("Normalize", mean=means, std=deviations)
        self.settings = settings


class Padding(SegTransform):
    """Fill images up to `target_size`, to the right and at the bottom."""

    def __init__(
        self,
        target_size: Sides,
        im_padding_value: Sequence[float] = _GREY,
        label_padding_value: int = 255,
    ) -> None:
        super().__init__(
            "Padding",
            target_size=_sides(target_size),
            **_filling(im_padding_value, label_padding_value),
        )


class RandomPaddingCrop(SegTransform):
    """Crop a window of `crop_size` at random; smaller images are filled up first."""

    def __init__(
        self,
        crop_size: Sides = 512,
        im_padding_value: Sequence[float] = _GREY,
        label_padding_value: int = 255,
    ) -> None:
        super().__init__(
            "RandomPaddingCrop",
            crop_size=_sides(crop_size),
            **_filling(im_padding_value, label_padding_value),
        )


class RandomBlur(SegTransform):
    """Blur with the probability `prob`."""

    def __init__(self, prob: float = 0.1) -> None:
        super().__init__("RandomBlur", prob=float(prob))


class RandomRotate(SegTransform):
    """Rotate by a random angle of at most `rotate_range` degrees."""

    def __init__(
        self,
        rotate_range: float = 15,
        im_padding_value: Sequence[float] = _GREY,
        label_padding_value: int = 255,
    ) -> None:
        super().__init__(
            "RandomRotation",
            max_rotation=float(rotate_range),
            **_filling(im_padding_value, label_padding_value),
        )


class RandomScaleAspect(SegTransform):
    """Crop a part of random area and aspect ratio, and stretch it to the size before."""

    def __init__(self, min_scale: float = 0.5, aspect_ratio: float = 0.33) -> None:
        super().__init__(
            "RandomScaleAspect", min_scale=float(min_scale), aspect_ratio=float(aspect_ratio)
        )


class RandomDistort(SegTransform):
    """Change brightness, contrast, saturation and hue at random."""

    def __init__(
        self,
        brightness_range: float = 0.5,
        brightness_prob: float = 0.5,
        contrast_range: float = 0.5,
        contrast_prob: float = 0.5,
        saturation_range: float = 0.5,
        saturation_prob: float = 0.5,
        hue_range: float = 18,
        hue_prob: float = 0.5,
    ) -> None:
        super().__init__(
            "RandomDistort",
            brightness_range=float(brightness_range),
            brightness_prob=float(brightness_prob),
            contrast_range=float(contrast_range),
            contrast_prob=float(contrast_prob),
            saturation_range=float(saturation_range),
            saturation_prob=float(saturation_prob),
            hue_range=float(hue_range),
            hue_prob=float(hue_prob),
        )


def _sides(size: Sides) -> list[int]:
    """Give [width, height]; anything that is no size is left to the check of the configuration."""
    return [size, size] if isinstance(size, int) else list(size)


def _as_long(values: list[float], other: list[float]) -> list[float]:
    """Cut or repeat values that are the same for all channels to the length of `other`."""
    if len(values) == len(other):
        return values
    if len({*values}) == 1:
        return values[:1] * len(other)
    raise ConfigError(
        f"Normalize: {len(values)} values of min_val or max_val, but {len(other)} of mean: give "
        "one for each channel"
    )


def _filling(im_padding_value: Sequence[float], label_padding_value: int) -> dict[str, Any]:
    if len({*im_padding_value}) != 1:
        raise ConfigError(
            f"im_padding_value={list(im_padding_value)}: segcore fills all channels with one "
            "value; give the same for each"
        )
    return {
        "im_padding_value": float(im_padding_value[0]),
        "label_padding_value": label_padding_value,
    }
