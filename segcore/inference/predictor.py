"""A model that is ready to predict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from segcore.config.schema import MOST_IMAGES
from segcore.data.palette import class_palette
from segcore.data.transforms.build import Pipeline, build_transforms
from segcore.data.transforms.raster import MAX_PIXELS
from segcore.errors import DataError, RequestError
from segcore.given import as_integer
from segcore.inference.inputs import ImageInput, PredictInput, as_items, expand_inputs
from segcore.tasks.result import Predicted, Result
from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.protocols import InferenceSession, Transform
    from segcore.tasks.task import Task

__all__ = ["Predictor", "TargetSize"]

TargetSize: TypeAlias = "int | tuple[int, int] | list[int] | None"
"""Size of the network's input: (width, height), one side of a square, -1 for the image's own size,
None to inherit: a call inherits from the constructor, that from `predict.target_size`, and that
from the transforms of the configuration."""

_ORIGINAL = -1


class Predictor:
    """A model on a device, with the preparation of images that it was trained with.

    Threads may share it, and several predictions may be under way in one. `origin` makes it anew,
    with `batch_size` and `target_size`, for copies and for other processes.
    """

    def __init__(
        self,
        session: InferenceSession,
        task: Task,
        *,
        target_size: TargetSize = None,
        batch_size: int | None = None,
        facts: dict[str, Any] | None = None,
        origin: Callable[..., Predictor] | None = None,
    ) -> None:
        self.session = session
        self.task = task
        self.config: Config = task.config
        self.facts = facts or {}
        self.batch_size = _as_count(self.config.predict.batch_size, batch_size)
        self.target_size = self.config.predict.target_size if target_size is None else target_size
        self.settings = self.config.predict
        colours = self.config.data.palette
        self._palette = None if colours is None else class_palette(colours)
        sliding = self.config.eval.sliding
        self._sliding = None if sliding is None else sliding.model_dump(mode="json")
        self._origin = origin
        self._pipeline(self.target_size)  # a wrong size is better refused before any work

    def __reduce__(self) -> tuple[Callable[..., Predictor], tuple[()]]:
        """Pickle what loads the model and not what was loaded, which belongs to this process."""
        if self._origin is None:
            raise RequestError(
                "this model cannot be pickled or copied, since it was not loaded by create_model: "
                "load it by that, or in each process by itself"
            )
        again = partial(self._origin, batch_size=self.batch_size, target_size=self.target_size)
        return again, ()

    def predict(
        self,
        input: PredictInput | Iterable[ImageInput],  # noqa: A002 - the name that PaddleX users know
        batch_size: int | None = None,
        target_size: TargetSize = None,
        on_bad_image: Callable[[DataError], None] | None = None,
    ) -> Iterator[Result]:
        """Predict images one after another and give each result, in order, when it is there.

        `input` is a path, a URL, a folder, an array (H, W, C) of uint8 (RGB where C is 3), or a
        list of these. Neighbours of equal size run as one batch, of at most `batch_size`. An image
        that cannot be read raises DataError, or is left out where `on_bad_image` takes the error.
        Nothing is read before a result is asked for, but an array counts as it is given.
        """
        if isinstance(input, np.ndarray):  # a camera may fill it anew before that
            input = np.array(input)  # noqa: A001
        return self._predict(input, batch_size, target_size, on_bad_image)

    def _predict(
        self,
        given: PredictInput | Iterable[ImageInput],
        batch_size: int | None,
        target_size: TargetSize,
        on_bad_image: Callable[[DataError], None] | None,
    ) -> Iterator[Result]:
        size = self.target_size if target_size is None else target_size
        pipeline = self._pipeline(size)
        count = _as_count(self.batch_size, batch_size)
        images = iter(_as_inputs(given))
        while chunk := list(islice(images, count)):
            yield from self._predict_chunk(chunk, pipeline, size, on_bad_image)

    def _predict_chunk(
        self,
        chunk: list[ImageInput],
        pipeline: Pipeline,
        size: TargetSize,
        on_bad_image: Callable[[DataError], None] | None,
    ) -> Iterator[Result]:
        loaded = [(image, self._load(image, on_bad_image)) for image in chunk]
        readable = [(image, pixels) for image, pixels in loaded if pixels is not None]
        samples = []
        for image, pixels in readable:
            sample = Sample(pixels, source=image.source)
            # the transforms of evaluation draw nothing; a generator is due to the protocol
            samples.append(pipeline(sample, np.random.default_rng(0)))
        predictions = self.task.infer(self.session, samples)
        for (image, pixels), prediction in zip(readable, predictions, strict=True):
            predicted = Predicted(
                name=image.name,
                source=image.source,
                origin=image.origin,
                image=pixels,
                settings=self.settings,
                class_names=self.task.class_names,
                num_classes=self.config.data.num_classes,
                palette=self._palette,
                facts={**self.facts, "target_size": _as_json(size), "sliding": self._sliding},
            )
            yield self.task.result(prediction, predicted)

    def _load(
        self, image: ImageInput, on_bad_image: Callable[[DataError], None] | None
    ) -> np.ndarray | None:
        try:
            return image.load(self.config.data)
        except DataError as error:
            if on_bad_image is None:
                raise
            on_bad_image(error)
            return None

    def _pipeline(self, size: TargetSize) -> Pipeline:
        """Build the preparation of images, with `size` in place of its own changes of size."""
        pipeline = build_transforms(self.config.eval.transforms, self.config, self.task.catalogue)
        if size is None:
            return pipeline
        from segcore.data.transforms.resize import LimitLong, Resize, ResizeByLong, ResizeByShort

        scaling = (LimitLong, Resize, ResizeByLong, ResizeByShort)
        kept: list[Transform] = [t for t in pipeline.transforms if not isinstance(t, scaling)]
        sides = _as_sides(size)
        if sides is not None:
            kept.insert(0, Resize(target_size=sides))
        return Pipeline(tuple(kept))


def _as_inputs(given: PredictInput | Iterable[ImageInput]) -> Iterator[ImageInput]:
    for position, item in enumerate(as_items(given)):
        if isinstance(item, ImageInput):
            yield item
        else:
            yield from expand_inputs([item], first_position=position)


def _as_count(inherited: int, given: object) -> int:
    """Give the number of images at once. Raises RequestError."""
    if given is None:
        return inherited
    count = as_integer(given)
    if count is None or not 1 <= count <= MOST_IMAGES:
        raise RequestError(f"batch_size {given!r}: give 1 to {MOST_IMAGES}")
    return count


def _as_sides(size: Any) -> tuple[int, int] | None:
    """Give (width, height) in pixels, or None for the image's own size. Raises RequestError."""
    pair = size if isinstance(size, tuple | list | np.ndarray) else (size, size)
    sides = [side for side in map(as_integer, pair) if side is not None]
    if sides == [_ORIGINAL, _ORIGINAL]:
        return None
    if len(pair) != 2 or len(sides) != 2 or min(sides) < 1:
        raise RequestError(
            f"target_size {size}: give (width, height) or one side, in pixels, or -1 for the "
            "image's own size"
        )
    if sides[0] * sides[1] > MAX_PIXELS:
        raise RequestError(
            f"target_size {size}: {sides[0]} x {sides[1]} pixels are more than the {MAX_PIXELS} "
            "that are run at once. Lower it; sliding windows (eval.sliding) take images whole."
        )
    return sides[0], sides[1]


def _as_json(size: TargetSize) -> int | list[int] | None:
    if size is None:
        return None
    return [int(side) for side in size] if isinstance(size, Sequence | np.ndarray) else int(size)
