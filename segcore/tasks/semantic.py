"""Semantic segmentation: one class for every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle import nn

from segcore.errors import DataError, RequestError
from segcore.nn.losses.sum import SumOfLosses
from segcore.tasks.batch import SemanticBatch, collate_semantic
from segcore.tasks.memory import require_memory, running_out_told
from segcore.tasks.restore import restore_class_map, restore_logits
from segcore.tasks.sample import Sample
from segcore.tasks.sliding import SlidingWindows
from segcore.tasks.task import Task

if TYPE_CHECKING:
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import InferenceSession

__all__ = ["ClassMapNetwork", "SemanticTask", "class_map"]


class SemanticTask(Task):
    """Images (N, C, H, W) in, one class a pixel (N, H, W) out."""

    name = "semantic"
    collate = staticmethod(collate_semantic)

    def __init__(self, config: Config, class_names: Sequence[str], catalogue: Catalogue) -> None:
        super().__init__(config, class_names, catalogue)
        self.criterion = SumOfLosses.from_config(config, catalogue)

    def losses(self, network: nn.Layer, batch: SemanticBatch) -> Mapping[str, paddle.Tensor]:
        """Give the weighted sum over losses and outputs as `loss`, and each term by its name.

        A network may say by an attribute `output_weights` what its outputs weigh where
        `train.output_weights` does not.
        """
        images = paddle.to_tensor(batch.images)
        labels = paddle.to_tensor(batch.labels.astype(np.int64, copy=False))
        own_weights = getattr(network, "output_weights", None)
        terms: Mapping[str, paddle.Tensor] = self.criterion(network(images), labels, own_weights)
        return terms

    def inference_network(self, network: nn.Layer) -> nn.Layer:
        return ClassMapNetwork(network)

    def input_specs(self) -> list[paddle.static.InputSpec]:
        channels = self.config.data.channels
        return [paddle.static.InputSpec([None, channels, None, None], "float32", "x")]

    def deployment(self) -> Mapping[str, Any]:
        return {
            "input_shape": [None, self.config.data.channels, None, None],
            "output_op": "argmax",
            "output_dtype": "int32",
        }

    def session(self, network: nn.Layer) -> InferenceSession:
        return _NetworkSession(network)

    def infer(self, session: InferenceSession, samples: Sequence[Sample]) -> list[np.ndarray]:
        """Give a class map (H, W), uint8 or uint16, for each sample, in its original size.

        Neighbours of one size run as one batch. A session that gives logits has them resized
        before the decision, which is finer than resizing class maps. Where the configuration
        says so, the images are run in sliding windows.
        """
        return [self._decide(answer, sample) for answer, sample in self._run(session, samples)]

    def probabilities(
        self, session: InferenceSession, samples: Sequence[Sample]
    ) -> list[np.ndarray]:
        """Give the probability of each class, (C, H, W) float32, for each sample.

        They are the softmax of the logits that `infer` decides by, so their largest is its class.
        Raises RequestError for a session that gives classes only, as exported graphs do.
        """
        found = []
        for answer, sample in self._run(session, samples):
            if answer.ndim != 3:
                raise RequestError(
                    "probabilities need logits, but the model is exported with the decision in "
                    "its graph: run its weights, with the runtime eager"
                )
            logits = restore_logits(answer, sample.geometry)
            weights = np.exp(logits - logits.max(axis=0, keepdims=True))
            found.append(weights / weights.sum(axis=0, keepdims=True))
        return found

    def _run(
        self, session: InferenceSession, samples: Sequence[Sample]
    ) -> Iterator[tuple[np.ndarray, Sample]]:
        """Give what the session says of each sample: logits (C, H, W) or classes (H, W)."""
        sliding = self.config.eval.sliding
        if sliding is not None:
            session = SlidingWindows(session, sliding.crop, sliding.stride or sliding.crop)
        for _, neighbours in groupby(samples, key=lambda sample: sample.image.shape):
            group = list(neighbours)
            self._require_memory(group)
            images = np.stack([sample.image.transpose(2, 0, 1) for sample in group])
            output = session.run({"x": np.ascontiguousarray(images, dtype=np.float32)})[0]
            yield from zip(output, group, strict=True)

    def _require_memory(self, samples: Sequence[Sample]) -> None:
        """Raise ExhaustedError where the input and its logits alone are more than is free."""
        height, width, channels = samples[0].image.shape
        classes = self.config.data.num_classes or 0  # others' exports may not say it
        is_whole = self.config.eval.sliding is None  # windows of an export have no whole logits
        pixels = len(samples) * height * width
        what = f"{samples[0].source}: {len(samples)} of {width} x {height} px, {classes} classes,"
        require_memory(pixels * (channels + classes * is_whole) * 4, what)

    def truth(self, sample: Sample) -> np.ndarray:
        if sample.label is None:
            raise DataError(f"{sample.source}: has no label, which measuring needs")
        return sample.label

    def _decide(self, answer: np.ndarray, sample: Sample) -> np.ndarray:
        if answer.ndim == 3:
            return class_map(restore_logits(answer, sample.geometry))
        restored = restore_class_map(answer, sample.geometry)
        return restored.astype(np.uint8 if len(self.class_names) <= 255 else np.uint16)


class ClassMapNetwork(nn.Layer):
    """A semantic network with the decision in its graph: images in, class maps int32 out."""

    def __init__(self, network: nn.Layer) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Give the class of each pixel of `x` (N, C, H, W): (N, H, W), int32."""
        return paddle.argmax(_first(self.network(x)), axis=1, dtype="int32")


class _NetworkSession:
    """A network behind the interface of inference runtimes; its output is logits."""

    def __init__(self, network: nn.Layer) -> None:
        self._network = network

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        was_training = self._network.training
        self._network.eval()
        try:
            with paddle.no_grad(), running_out_told(inputs):
                logits = _first(self._network(paddle.to_tensor(inputs["x"])))
        finally:
            if was_training:
                self._network.train()
        return [logits.numpy()]


def class_map(logits: np.ndarray) -> np.ndarray:
    """Give the class of the largest of `logits` (C, H, W): (H, W), uint8 or uint16 above 255.

    The first of equal classes wins, as in `numpy.argmax`, which is several times slower along
    the first axis.
    """
    classes = np.zeros(logits.shape[1:], np.uint8 if len(logits) <= 255 else np.uint16)
    best = logits[0].copy()
    for number, scores in enumerate(logits[1:], start=1):
        np.putmask(classes, scores > best, number)
        np.maximum(best, scores, out=best)
    return classes


def _first(outputs: Any) -> paddle.Tensor:
    """Give the main output of a network that may return auxiliary ones behind it."""
    return outputs[0] if isinstance(outputs, list | tuple) else outputs
