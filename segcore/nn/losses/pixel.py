"""What losses do with each pixel before they reduce: cross entropy, validity, weights, targets.

Everything here has the shape (N, 1, H, W), or (N, C, H, W) for what differs between classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import paddle
from paddle.nn import functional

from segcore.errors import ConfigError, LabelError, SegcoreError

__all__ = [
    "PixelLabels",
    "class_weights",
    "gather_weights",
    "inverse_frequencies",
    "pixel_cross_entropy",
]


class PixelLabels:
    """Labels made ready for a loss, with the original left as it is.

    `index` holds the class (N, 1, H, W), int64, with `ignore_index` where the pixel is ignored;
    `valid` is 1.0 where the pixel counts and 0.0 where it does not. With `is_binary` a single
    channel of logits tells two classes apart. Raises SegcoreError when the sizes differ, LabelError
    for a class that does not exist, ConfigError where the network gives no logits in training but
    a mapping, which is for a loss of its own.
    """

    def __init__(
        self, logits: Any, labels: Any, ignore_index: int, *, is_binary: bool = False
    ) -> None:
        if isinstance(logits, Mapping):
            raise ConfigError(
                f"train.losses: this network gives no logits in training, but "
                f"{', '.join(map(str, logits))}: use the loss of its recipe alone."
            )
        if len(labels.shape) == 3:
            labels = labels.unsqueeze(1)
        if list(labels.shape) != [logits.shape[0], 1, *logits.shape[2:]]:
            raise SegcoreError(
                f"the network gave logits of shape {list(logits.shape)} for labels of shape "
                f"{list(labels.shape)}: batch, height and width must agree. A network resizes "
                f"its outputs to the size of its input."
            )
        self.num_classes = int(logits.shape[1])
        self.ignore_index = ignore_index
        with paddle.no_grad():
            self.index = labels.astype("int64")
            self.is_valid = self.index != ignore_index
            # half precision could not count the pixels of an image
            is_double = logits.dtype == paddle.float64
            self.valid = self.is_valid.astype("float64" if is_double else "float32")
            # Readers refuse such labels with the file's name. This guards callers of their own;
            # on a GPU the answer would have to be waited for.
            if logits.place.is_cpu_place():
                self._check_range(2 if is_binary and self.num_classes == 1 else self.num_classes)

    def _check_range(self, classes: int) -> None:
        known = self.filled()
        lowest, highest = int(known.min()), int(known.max())
        if lowest < 0 or highest >= classes:
            value = lowest if lowest < 0 else highest
            raise LabelError(
                f"a label has class {value}, but the network tells {classes} classes apart (valid: "
                f"0 to {classes - 1}, {self.ignore_index} is ignored). Fix the labels, or set "
                f"data.num_classes or data.ignore_index."
            )

    def filled(self, value: int = 0) -> Any:
        """Give the classes with `value` where the pixel is ignored: (N, 1, H, W), int64."""
        return paddle.where(self.is_valid, self.index, paddle.full_like(self.index, value))

    def one_hot(self) -> Any:
        """Give 1.0 at the class of each pixel, all zeros where ignored: (N, C, H, W)."""
        with paddle.no_grad():
            hot = functional.one_hot(self.filled().squeeze(1), self.num_classes)
            return hot.transpose([0, 3, 1, 2]) * self.valid

    def targets(self) -> Any:
        """Give the answers to one binary question a channel: (N, C, H, W), 0.0 where ignored.

        A single channel asks for class 1, several ask for a class each.
        """
        if self.num_classes == 1:
            return self.filled().astype(self.valid.dtype)
        return self.one_hot()


def pixel_cross_entropy(logits: Any, labels: PixelLabels) -> Any:
    """Give -log softmax(logits)[label] of each pixel: (N, 1, H, W), 0 where ignored."""
    # the fused kernel runs along axis 1 at a fifth of the cost of log_softmax and a gather, and
    # writes zeros into the gradient of ignored pixels
    return functional.cross_entropy(
        logits, labels.index, ignore_index=labels.ignore_index, reduction="none", axis=1
    )


def class_weights(weight: Sequence[float] | None, num_classes: int, loss: str) -> Any:
    """Make a tensor (C,) of `weight`, or give None. Raises ConfigError for another length."""
    if weight is None:
        return None
    if len(weight) != num_classes:
        raise ConfigError(
            f"{loss}.weight has {len(weight)} values {list(weight)}, but there are {num_classes} "
            f"classes: give one number a class."
        )
    return paddle.to_tensor(list(weight), dtype="float32")


def gather_weights(weights: Any, labels: PixelLabels) -> Any:
    """Give the weight of each pixel's class, 0 where ignored: (N, 1, H, W)."""
    with paddle.no_grad():
        index = labels.filled()
        gathered = paddle.gather(weights.astype(labels.valid.dtype), index.flatten())
        return gathered.reshape(index.shape) * labels.valid


def inverse_frequencies(labels: PixelLabels) -> Any:
    """Weigh the classes of a batch by the inverse of their share: (C,), sum C.

    A class without a pixel weighs nothing and takes no part in the sum; without any valid pixel
    all weights are 0.
    """
    with paddle.no_grad():
        counts = paddle.bincount(
            labels.filled().flatten(), labels.valid.flatten(), minlength=labels.num_classes
        ).astype(labels.valid.dtype)
        inverse = paddle.where(counts > 0, 1.0 / counts.clip(min=1.0), paddle.zeros_like(counts))
        total = inverse.sum()
        return inverse * (labels.num_classes / total.clip(min=1e-30))
