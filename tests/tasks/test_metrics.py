import json
from pathlib import Path

import numpy as np
import pytest

from segcore.errors import ConfigError, DataError, LabelError, RequestError
from segcore.tasks.metrics import DEFINITIONS, ConfusionMatrix, SegmentationMetrics

REFERENCE = json.loads((Path(__file__).parent / "data" / "metrics.json").read_text())["cases"]


def reference_maps(case):
    """Draw the prediction and the label (2, 97, 161) that the reference values were taken on."""
    classes, seed, dropped = case["num_classes"], case["seed"], case["dropped_class"]
    rng = np.random.RandomState(7000003 + 1000003 * seed + 1009 * 97 + 161)
    coarse = rng.randint(0, classes, (2, 13, 21))
    label = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)[:, :97, :161].astype(np.int64)
    label[rng.uniform(size=label.shape) < 0.05] = 255
    rng = np.random.RandomState(31337 + seed)
    prediction = np.where(label == 255, 0, label)
    flip = rng.uniform(size=prediction.shape) < 0.4
    prediction = np.where(flip, rng.randint(0, classes, prediction.shape), prediction)
    if dropped is not None:
        label[label == dropped] = 255
        prediction[prediction == dropped] = (dropped + 1) % classes
    return prediction, label


def measure(prediction, label, num_classes=3, **options):
    metrics = SegmentationMetrics(num_classes, 255, **options)
    metrics.update(np.asarray(prediction), np.asarray(label))
    return metrics.compute()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: f"seed{case['seed']}")
def test_values_are_those_of_the_reference(case, dtype):
    prediction, label = (array.astype(dtype) for array in reference_maps(case))
    result = measure(prediction, label, case["num_classes"], convention="paddleseg")
    matrix = np.array(result["confusion_matrix"])
    assert np.diagonal(matrix).tolist() == case["intersect"]
    assert matrix.sum(axis=0).tolist() == case["pred_area"]
    assert matrix.sum(axis=1).tolist() == case["label_area"]
    names = {
        "category_iou": "class_iou",
        "miou": "miou",
        "oacc": "accuracy",
        "category_precision": "class_precision",
        "category_acc": "class_recall",
        "kappa": "kappa",
        "category_dice": "class_dice",
        "mdice": "mean_dice",
    }
    for ours, theirs in names.items():
        assert result[ours] == pytest.approx(case[theirs], rel=1e-12), ours


@pytest.mark.parametrize(
    ("convention", "iou", "miou"),
    [
        ("present", [0.5, 0.5, None], 0.5),
        ("paddleseg", [0.5, 0.5, 1.0], 2 / 3),
        ("paddlex1", [0.5, 0.5, 0.0], 1 / 3),
    ],
)
def test_an_absent_class_counts_as_the_convention_says(convention, iou, miou):
    result = measure([[0, 0, 1]], [[0, 1, 1]], convention=convention)
    assert result["category_iou"] == iou
    assert result["miou"] == pytest.approx(miou)
    assert result["convention"] == convention


def test_a_class_that_is_only_predicted_counts_as_zero_in_miou_but_not_in_macc():
    result = measure([[0, 0, 2, 2]], [[0, 0, 0, 0]])
    assert result["category_iou"] == [0.5, None, 0.0]
    assert result["miou"] == 0.25
    assert result["category_acc"] == [0.5, None, None]
    assert result["macc"] == 0.5


def test_accuracies_are_recalls_and_not_precisions():
    result = measure([[0, 0, 0, 1]], [[0, 1, 1, 1]], 2)
    assert result["category_acc"] == result["category_recall"] == [1.0, pytest.approx(1 / 3)]
    assert result["category_precision"] == [pytest.approx(1 / 3), 1.0]
    assert result["macc"] == pytest.approx(2 / 3)
    assert result["oacc"] == 0.5


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    result = measure([[0, 0, 0, 1, 1]], [[0, 1, 1, 1, 0]], 2)
    for p, r, f1 in zip(
        result["category_precision"], result["category_recall"], result["category_f1"], strict=True
    ):
        assert f1 == pytest.approx(2 * p * r / (p + r))


def test_an_all_ignored_label_leaves_everything_undefined_and_valid_json():
    result = measure(np.zeros((4, 5), np.uint8), np.full((4, 5), 255, np.uint8))
    assert result["miou"] is result["oacc"] is result["macc"] is result["kappa"] is None
    assert (result["pixels"], result["ignored_pixels"]) == (0, 20)
    json.dumps(result, allow_nan=False)


def test_one_class_everywhere_leaves_kappa_undefined():
    assert measure([[1, 1]], [[1, 1]])["kappa"] is None


def test_every_value_is_defined_in_words():
    result = measure([[0]], [[0]], class_names=["a", "b", "c"])
    rest = {"convention", "class_names", "pixels", "ignored_pixels", "definitions"}
    assert set(result) == set(DEFINITIONS) | rest
    assert result["class_names"] == ["a", "b", "c"]


def test_an_unknown_convention_is_refused():
    with pytest.raises(ConfigError, match=r"'voc'.*'present', 'paddleseg', 'paddlex1'"):
        SegmentationMetrics(2, convention="voc")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16])
def test_a_label_outside_the_classes_is_refused_with_values_and_pixels(dtype):
    matrix = ConfusionMatrix(3)
    label = np.array([[0, 3, 3], [7, 255, 2]], dtype)
    with pytest.raises(LabelError, match=r"3 \(2 px\), 7 \(1 px\).*0 to 2.*255 is ignored"):
        matrix.update(np.zeros((2, 3), np.uint8), label)
    assert matrix.counts.sum() == matrix.ignored == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_prediction_outside_the_classes_is_refused_where_it_counts(dtype):
    matrix = ConfusionMatrix(3)
    label = np.array([[0, 255]], dtype)
    matrix.update(np.array([[0, 9]], dtype), label)
    with pytest.raises(DataError, match=r"prediction has 9 \(1 px\).*another number of classes"):
        matrix.update(np.array([[9, 0]], dtype), label)


@pytest.mark.parametrize("value", [-1, 256, 70000])
def test_wide_values_are_not_folded_into_bytes(value):
    matrix = ConfusionMatrix(3)
    with pytest.raises(DataError, match=str(value)):
        matrix.update(np.array([[value]], np.int64), np.array([[0]], np.uint8))
    with pytest.raises(LabelError, match=str(value)):
        matrix.update(np.array([[0]], np.uint8), np.array([[value]], np.int64))


def test_more_than_256_classes_are_counted():
    matrix = ConfusionMatrix(1000, ignore_index=65535)
    matrix.update(np.array([999, 3, 3]), np.array([999, 999, 65535], np.uint16))
    assert (matrix.counts[999, 999], matrix.counts[999, 3], matrix.ignored) == (1, 1, 1)


def test_byte_maps_count_in_a_task_of_more_than_256_classes():
    matrix = ConfusionMatrix(300, ignore_index=65535)
    matrix.update(np.array([255, 0], np.uint8), np.array([255, 255], np.uint8))
    assert (matrix.counts[255, 255], matrix.counts[255, 0], matrix.ignored) == (1, 1, 0)


def test_the_byte_path_counts_as_the_wide_path_does():
    rng = np.random.default_rng(0)
    prediction, label = rng.integers(0, 19, (2, 65, 33))
    label[rng.random(label.shape) < 0.1] = 255
    fast, wide = ConfusionMatrix(19), ConfusionMatrix(19)
    fast.update(prediction.astype(np.uint8), label.astype(np.uint8))
    wide.update(prediction, label)
    assert fast.counts.tobytes() == wide.counts.tobytes()
    assert fast.ignored == wide.ignored > 0


def test_a_label_of_another_shape_is_refused():
    with pytest.raises(DataError, match=r"\(2, 3\), but its label is \(3, 2\)"):
        ConfusionMatrix(2).update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_logits_are_refused_where_a_class_map_belongs():
    with pytest.raises(DataError, match="prediction is of float32"):
        ConfusionMatrix(2).update(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.uint8))


def test_a_matrix_that_would_fill_the_memory_is_refused():
    with pytest.raises(RequestError, match="65535"):
        ConfusionMatrix(65535)
