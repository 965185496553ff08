"""Finer ways to run a network: by windows that slide over the image, and by averaged views of it.

Both wrap a session and are sessions themselves, so that a task runs them like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from segcore.errors import RequestError
from segcore.tasks.restore import restore_logits

if TYPE_CHECKING:
    from segcore.protocols import InferenceSession

__all__ = ["AugmentedViews", "SlidingWindows", "Span", "spans", "window_starts"]


class SlidingWindows:
    """Run windows of `crop_size` (width, height), `stride` apart, and join what they give.

    The windows cover the image exactly: the last of a row or column is moved back to its border.
    An image smaller than a window is one window. Where windows overlap, logits are averaged; of
    class maps, as exported graphs give them, each pixel takes the window whose middle is nearest.
    Raises RequestError for strides that leave gaps.
    """

    def __init__(
        self, session: InferenceSession, crop_size: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        sizes = (*crop_size, *stride)
        if min(sizes) < 1 or stride[0] > crop_size[0] or stride[1] > crop_size[1]:
            raise RequestError(
                f"sliding windows of {crop_size[0]} x {crop_size[1]} px every {stride[0]} x "
                f"{stride[1]} px: sizes are 1 px or more, and a stride is at most its window"
            )
        self._session = session
        self._crop_size = crop_size
        self._stride = stride

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Give logits (N, C, H, W) or class maps (N, H, W) of the one input (N, channels, H, W)."""
        name, images = next(iter(inputs.items()))
        height, width = images.shape[2:]
        (crop_w, crop_h), (stride_w, stride_h) = self._crop_size, self._stride
        rows, columns = spans(height, crop_h, stride_h), spans(width, crop_w, stride_w)
        total: np.ndarray | None = None
        count = np.zeros((height, width), np.float32)
        for row, column in product(rows, columns):
            window = np.s_[..., row.start : row.stop, column.start : column.stop]
            output = _run(self._session, {name: images[window]})
            if total is None:
                total = np.zeros((*output.shape[:-2], height, width), output.dtype)
            if output.ndim == 3:
                total[..., row.own, column.own] = output[..., row.own_inside, column.own_inside]
                continue
            total[window] += output
            count[window] += 1
        if total is None or total.ndim == 3:
            return [] if total is None else [total]
        return [total / count]


class AugmentedViews:
    """Average the logits of an image at several scales, and flipped if wanted."""

    def __init__(
        self,
        session: InferenceSession,
        scales: Sequence[float] = (1.0,),
        *,
        flip_horizontal: bool = False,
        flip_vertical: bool = False,
    ) -> None:
        if not scales or min(scales) <= 0:
            raise RequestError(f"scales {list(scales)}: give at least one factor, all above 0")
        self._session = session
        self._scales = tuple(scales)
        self._flips = tuple(
            product((1, -1) if flip_vertical else (1,), (1, -1) if flip_horizontal else (1,))
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Give the averaged logits (N, C, H, W) of the one input (N, channels, H, W)."""
        name, images = next(iter(inputs.items()))
        views = [
            _resized(_logits(self._session, {name: view})[..., ::down, ::across], images.shape[2:])
            for view, down, across in self._views(images)
        ]
        mean: np.ndarray = np.mean(views, axis=0)
        return [mean]

    def _views(self, images: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
        """Give each view with the steps (1 or -1) along H and W that undo its flips."""
        for scale in self._scales:
            size = tuple(int(side * scale + 0.5) for side in images.shape[2:])
            scaled = _resized(images, size)
            for down, across in self._flips:
                yield np.ascontiguousarray(scaled[..., ::down, ::across]), down, across


@dataclass(frozen=True)
class Span:
    """A window along one side of the image: from `start` to `stop`, in pixels.

    Of what it shares with its neighbours, it owns what is nearer to its own middle: all of
    `own_start` to `own_stop`.
    """

    start: int
    stop: int
    own_start: int
    own_stop: int

    @property
    def own(self) -> slice:
        """What the window owns, in the image."""
        return slice(self.own_start, self.own_stop)

    @property
    def own_inside(self) -> slice:
        """What the window owns, within the window."""
        return slice(self.own_start - self.start, self.own_stop - self.start)


def spans(side: int, crop: int, stride: int) -> list[Span]:
    """Lay windows along a side of the image."""
    crop = min(crop, side)
    starts = window_starts(side, crop, stride)
    seams = [(before + crop + after) // 2 for before, after in pairwise(starts)]
    return [
        Span(start, start + crop, own_start, own_stop)
        for start, own_start, own_stop in zip(starts, [0, *seams], [*seams, side], strict=True)
    ]


def window_starts(side: int, crop: int, stride: int) -> list[int]:
    """Give where windows start along a side of the image, in pixels; they cover it exactly."""
    last = max(side - crop, 0)
    return [*range(0, last, stride), last]


def _run(session: InferenceSession, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    return session.run({name: np.ascontiguousarray(array) for name, array in inputs.items()})[0]


def _logits(session: InferenceSession, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    output = _run(session, inputs)
    if output.ndim != 4:
        raise RequestError(
            "augmented views need logits, but the model is exported with the decision in its "
            "graph: run it with the runtime eager"
        )
    return output


def _resized(images: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resize (N, C, H, W) bilinearly to `size` (H, W)."""
    if images.shape[2:] == tuple(size):
        return images
    change = [("resize", (size[0], size[1]))]
    return np.stack([restore_logits(image, change) for image in images])
