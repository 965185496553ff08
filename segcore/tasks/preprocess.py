"""Preparation of images in the words of PaddleX's and PaddleDetection's detection models.

Their `inference.yml` lists operations under `Preprocess`. They have names and defaults of their
own, write sizes as (height, width), and end by turning the axes and filling the image up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segcore.config.schema import LARGEST_SIDE
from segcore.errors import ExportError
from segcore.tasks.instance_batch import SIZE_DIVISOR

__all__ = ["from_preprocess", "to_preprocess"]

_Step = Mapping[str, Any]

# the place of a name is the number that stands for it
_INTERPOLATIONS = ("NEAREST", "LINEAR", "CUBIC", "AREA", "LANCZOS4")
_INTERPOLATION_NAMES = {"BICUBIC": "CUBIC"}
_DEFAULT_INTERPOLATION = 2
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_FILLING = [127.5, 127.5, 127.5]


def to_preprocess(steps: Sequence[_Step]) -> list[dict[str, Any]]:
    """Give the operations that prepare images as `steps` do, transforms with all their options.

    Raises ExportError for a step that has no like there.
    """
    written = []
    for step in steps:
        kind = step["type"]
        write = _WRITERS.get(kind)
        if write is None:
            raise ExportError(f"{kind} has no like there")
        written.append(write(step))
    return [*written, {"type": "Permute"}, {"type": "PadStride", "stride": SIZE_DIVISOR}]


def from_preprocess(operations: Sequence[_Step]) -> list[dict[str, Any]]:
    """Give the transforms, with their options, that prepare images as `operations` do.

    Raises ExportError for an operation that has no like here.
    """
    steps = []
    for operation in operations:
        kind = operation.get("type")
        read = _READERS.get(str(kind))
        if read is None:
            raise ExportError(f"the operation {kind} is not known; known: {', '.join(_READERS)}")
        try:
            step = read(operation)
        except (LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise ExportError(f"{kind}: {dict(operation)} is not understood: {error!r}") from error
        if step is not None:
            steps.append(step)
    return steps


def _write_resize(step: _Step) -> dict[str, Any]:
    if step["size_divisor"] is not None or step["interp"] == "RANDOM":
        raise ExportError("Resize with size_divisor, or with interp RANDOM, has no like there")
    width, height = step["target_size"]
    return _resize((height, width), step["interp"], keep_ratio=step["keep_ratio"])


def _write_by_short(step: _Step) -> dict[str, Any]:
    sides = step["short_size"]
    sides = [sides] if isinstance(sides, int) else list(sides)
    if len(sides) > 1 or step["max_size"] < sides[0]:
        raise ExportError("ResizeByShort to several sides, or above max_size, has no like there")
    most = min(int(step["max_size"]), LARGEST_SIDE)
    return _resize((sides[0], most), "LINEAR", keep_ratio=True)


def _write_by_long(step: _Step) -> dict[str, Any]:
    return _resize((step["long_size"], step["long_size"]), "LINEAR", keep_ratio=True)


def _resize(size: tuple[int, int], interpolation: str, *, keep_ratio: bool) -> dict[str, Any]:
    return {
        "type": "Resize",
        "target_size": list(size),
        "keep_ratio": keep_ratio,
        "interp": _INTERPOLATIONS.index(interpolation),
    }


def _write_normalize(step: _Step) -> dict[str, Any]:
    both = (step["mean"], step["std"])
    mean, std = (list(values) * (3 if len(values) == 1 else 1) for values in both)
    if len(mean) != 3 or len(std) != 3:
        raise ExportError(f"Normalize of {len(mean)} channels has no like there, which takes 3")
    return {
        "type": "NormalizeImage",
        "norm_type": "mean_std",
        "is_scale": True,
        "mean": mean,
        "std": std,
    }


def _write_padding(step: _Step) -> dict[str, Any]:
    width, height = step["target_size"]
    value = step["im_padding_value"]
    return {"type": "Pad", "size": [height, width], "fill_value": [value] * 3}


_WRITERS: Mapping[str, Callable[[_Step], dict[str, Any]]] = {
    "Resize": _write_resize,
    "ResizeByShort": _write_by_short,
    "ResizeByLong": _write_by_long,
    "Normalize": _write_normalize,
    "Padding": _write_padding,
}


def _read_resize(operation: _Step) -> dict[str, Any]:
    height, width = _both_sides(operation["target_size"])
    interpolation = operation.get("interp", _DEFAULT_INTERPOLATION)
    if isinstance(interpolation, int):
        interpolation = _INTERPOLATIONS[interpolation]
    name = str(interpolation).upper()
    keeps_ratio = bool(operation.get("keep_ratio", False))
    if keeps_ratio:  # the larger side is only a limit, and some files say 10**10
        width, height = min(width, LARGEST_SIDE), min(height, LARGEST_SIDE)
    return {
        "type": "Resize",
        "target_size": [width, height],
        "keep_ratio": keeps_ratio,
        "interp": _INTERPOLATION_NAMES.get(name, name),
    }


def _read_normalize(operation: _Step) -> dict[str, Any]:
    # without is_scale pixels stay in 0..255, and so are the statistics
    scale = 1.0 if operation.get("is_scale", True) else 255.0
    mean, std = operation.get("mean", _MEAN), operation.get("std", _STD)
    return {
        "type": "Normalize",
        "mean": [float(value) / scale for value in mean],
        "std": [float(value) / scale for value in std],
    }


def _read_padding(operation: _Step) -> dict[str, Any]:
    height, width = _both_sides(operation["size"])
    values = {float(value) for value in operation.get("fill_value") or _FILLING}
    if len(values) != 1:
        raise ValueError("the filling must be grey")
    return {"type": "Padding", "target_size": [width, height], "im_padding_value": values.pop()}


def _both_sides(size: Any) -> tuple[int, int]:
    """Give (height, width) of what may be one side."""
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _read_stride(operation: _Step) -> None:
    stride = int(operation.get("stride", SIZE_DIVISOR))
    if stride > 0 and SIZE_DIVISOR % stride:
        raise ValueError(f"images are filled up to multiples of {SIZE_DIVISOR} here")


def _read_permute(_operation: _Step) -> None:
    """Do nothing: axes are turned when images are joined to a batch."""


_READERS: Mapping[str, Callable[[_Step], dict[str, Any] | None]] = {
    "Resize": _read_resize,
    "NormalizeImage": _read_normalize,
    "Pad": _read_padding,
    "PadStride": _read_stride,
    "Permute": _read_permute,
}
