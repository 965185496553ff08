"""TIFF and PNG files of every kind against numpy: a spread of what tests.campaigns.images runs."""

import itertools

import cv2
import numpy as np
import pytest

from segcore.config.schema import DataConfig
from segcore.data.check import check_dataset
from segcore.data.convert.source import image_size, read_label
from segcore.data.decode import preview_image
from segcore.data.segdataset import SegDataset
from segcore.data.stats.survey import dataset_stats
from segcore.inference.inputs import ImageInput
from tests.campaigns import images

CASES = images.all_cases(count=200, seed=1)


@pytest.mark.parametrize("name", CASES)
def test_files_of_every_kind_are_read_as_what_they_store(name):
    outcome = images.compare(CASES[name]())
    assert outcome.count > 200
    assert outcome.wrong == []
    assert outcome.refused == []


@pytest.mark.parametrize("name", CASES)
def test_a_reader_that_asks_opencv_and_pillow_is_caught(name, capfd):
    outcome = images.compare(CASES[name](), images.read_naively)
    assert len(outcome.wrong) > outcome.count // 10


def odd_dataset(root):
    """Write images of 16 bits and labels of every kind that there is, and give both as arrays."""
    kinds = [
        images.Tiff("u16", layout, is_planar, order, parts=parts, orientation=orientation)
        for number, (layout, parts) in enumerate(
            itertools.product(
                ("rgb", "as GDAL", "grey", "white", "rgb, alpha"), ("strips", "tiles")
            )
        )
        for is_planar, order, orientation in [(number % 2 == 1, "<>"[number % 2], number % 8 + 1)]
    ]
    labels = [images.Tiff(f"u{bits}", "white" if bits % 4 else "grey") for bits in (4, 8, 10, 12)]
    labels += [images.Tiff("i16"), images.Tiff("u32"), images.Tiff("u8", "palette")]
    expected = []
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    rows = []
    for number, kind in enumerate(kind for kind in kinds if kind.is_written):
        rng = np.random.default_rng(number)
        samples = kind.draw(rng)
        picture = images.as_seen(kind, samples, 3)
        label_kind = labels[number % len(labels)]
        label = np.sort(rng.integers(0, 5, (*picture.shape[:2], 1)), axis=0)
        label = label.astype(label_kind.draw(rng, is_label=True).dtype)
        (root / f"images/{number}.tif").write_bytes(images.write_tiff(kind, samples))
        (root / f"annotations/{number}.tif").write_bytes(images.write_tiff(label_kind, label))
        expected.append((picture, label[..., 0]))
        rows.append(f"images/{number}.tif annotations/{number}.tif\n")
    (root / "train.txt").write_text("".join(rows))
    (root / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    return expected


def test_training_prediction_check_statistics_and_conversion_see_the_same_pixels(tmp_path):
    expected = odd_dataset(tmp_path)
    config = DataConfig(value_range=(0, 65535))
    dataset = SegDataset(tmp_path, "train", config)
    assert len(dataset) == len(expected)
    counts = np.zeros(5, int)
    for index, (picture, label) in enumerate(expected):
        sample = dataset.load(index)
        assert np.array_equal(sample.image, picture), index
        assert np.array_equal(sample.label, label), index
        path = tmp_path / f"images/{index}.tif"
        assert np.array_equal(ImageInput("x", "x", path).load(config), picture)
        grey, size, _ = preview_image(path.read_bytes(), path.name, config)
        assert size == grey.shape == picture.shape[:2]
        assert np.array_equal(grey, cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        assert image_size(path.read_bytes(), path.name) == picture.shape[1::-1]
        converted = read_label(tmp_path, f"annotations/{index}.tif", picture.shape[1::-1])
        assert np.array_equal(converted, label)
        counts += np.bincount(label.ravel(), minlength=5)
    result = check_dataset(tmp_path, config=config)
    assert [each.code for each in result.findings if each.severity == "error"] == ["SEG001"]  # val
    (split,) = dataset_stats(tmp_path, config=config).splits
    assert [entry.pixels for entry in split.classes] == counts.tolist()
