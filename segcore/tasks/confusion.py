"""The confusion matrix of a semantic task: the one thing that is counted, image by image."""

from __future__ import annotations

import numpy as np

from segcore.errors import DataError, LabelError, RequestError

__all__ = ["ConfusionMatrix"]

# 4096 squared 8-byte counters are 128 MiB; beyond that the matrix, not the data, fills the memory
_MAX_CLASSES = 4096
_MAX_VALUES_NAMED = 8


class ConfusionMatrix:
    """Count pixels by label (row) and prediction (column) in `counts`, (C, C) of int64.

    Pixels whose label is `ignore_index` are left out, and counted in `ignored`.
    Raises RequestError when there are more than 4096 classes.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        if num_classes > _MAX_CLASSES:
            raise RequestError(
                f"data.num_classes={num_classes}: metrics count at most {_MAX_CLASSES} classes, "
                "since their confusion matrix would not fit into memory"
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = np.zeros((num_classes, num_classes), np.int64)
        self.ignored = 0

    def update(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Count an image or a batch: two arrays of one shape, usually (H, W), of integers.

        Raises LabelError for a label outside 0..C-1 that is not `ignore_index`, and DataError for
        a prediction outside 0..C-1 on a pixel that counts or for shapes that differ. Nothing of
        a refused image is counted.
        """
        if prediction.shape != label.shape:
            raise DataError(
                f"the prediction is {prediction.shape}, but its label is {label.shape}; "
                "bring the prediction back to the size of the label first"
            )
        for name, array in (("label", label), ("prediction", prediction)):
            if array.dtype.kind not in "iub":
                raise DataError(f"the {name} is of {array.dtype}; class maps are of integers")
        if label.dtype == np.uint8 and _fits_byte(prediction):
            self._update_bytes(prediction.astype(np.uint8, copy=False), label)
        else:
            self._update_wide(prediction, label)

    def _update_bytes(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Count values below 256 in one pass: no mask and no check ahead of it.

        All 256 x 256 pairs are counted; what should not be there shows in the sums afterwards.
        """
        pairs = label.astype(np.uint16)
        pairs <<= 8
        pairs |= prediction
        counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
        valid = min(self.num_classes, 256)
        ignored = 0
        if self.ignore_index < 256:
            ignored = int(counts[self.ignore_index].sum())
            counts[self.ignore_index] = 0
        block = counts[:valid, :valid]
        if block.sum() + ignored != pairs.size:
            self._refuse("label", counts[valid:].sum(axis=1), first=valid)
            self._refuse("prediction", counts[:, valid:].sum(axis=0), first=valid)
        self.counts[:valid, :valid] += block
        self.ignored += ignored

    def _update_wide(self, prediction: np.ndarray, label: np.ndarray) -> None:
        """Count values of any integer type."""
        counted = label != self.ignore_index
        # int64 before the product below: narrower types would wrap around
        labels = label[counted].astype(np.int64, copy=False)
        predictions = prediction[counted].astype(np.int64, copy=False)
        for name, values in (("label", labels), ("prediction", predictions)):
            wrong = values[(values < 0) | (values >= self.num_classes)]
            if wrong.size:
                found, pixels = np.unique(wrong, return_counts=True)
                raise self._refusal(name, found.tolist(), pixels.tolist())
        size = self.num_classes
        pairs = np.bincount(labels * size + predictions, minlength=size * size)
        self.counts += pairs.reshape(size, size)
        self.ignored += label.size - labels.size

    def _refuse(self, name: str, pixels: np.ndarray, first: int) -> None:
        """Raise if any pixel is counted in `pixels`, which starts at the value `first`."""
        if pixels.any():
            found = np.flatnonzero(pixels)
            raise self._refusal(name, (found + first).tolist(), pixels[found].tolist())

    def _refusal(self, name: str, values: list[int], pixels: list[int]) -> DataError:
        listed = ", ".join(
            f"{value} ({count} px)"
            for value, count in list(zip(values, pixels, strict=True))[:_MAX_VALUES_NAMED]
        )
        more = len(values) - _MAX_VALUES_NAMED
        rest = f" and {more} further values" if more > 0 else ""
        valid = f"valid are 0 to {self.num_classes - 1}"
        if name == "label":
            return LabelError(
                f"the label has {listed}{rest}, but {valid}, and {self.ignore_index} is ignored; "
                "fix the label, or set data.num_classes or data.label_map"
            )
        return DataError(
            f"the prediction has {listed}{rest}, but {valid}; "
            "the model was made for another number of classes"
        )


def _fits_byte(array: np.ndarray) -> bool:
    # predictions come as int32 or int64 from an argmax: two passes over them cost less than a mask
    in_range = array.dtype == np.uint8 or (array.min(initial=0) >= 0 and array.max(initial=0) < 256)
    return bool(in_range)
