"""How well a prediction agrees with a label, for one image."""

from __future__ import annotations

import numpy as np

from segcore.errors import DataError

__all__ = ["image_iou"]


def image_iou(
    prediction: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int
) -> float:
    """Give the mean IoU over the classes that the label or the prediction (H, W) has.

    1.0 where the label ignores every pixel: there is nothing to disagree with. Raises DataError
    where the two do not fit, and for a prediction that is no class.
    """
    if prediction.shape != label.shape:
        raise DataError(f"the prediction is {prediction.shape}, but its label {label.shape}")
    counted = label != ignore_index
    truth, said = label[counted], prediction[counted]
    if not truth.size:
        return 1.0
    if said.max() >= num_classes:
        raise DataError(f"the model predicts class {said.max()}, but there are {num_classes}")
    both = np.bincount(truth[truth == said], minlength=num_classes)
    either = np.bincount(truth, minlength=num_classes) + np.bincount(said, minlength=num_classes)
    either -= both
    present = either > 0
    return float((both[present] / either[present]).mean())
