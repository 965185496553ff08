"""Statistics of datasets whose numbers are known."""

import json

import cv2
import numpy as np
import pytest

from segcore.config.schema import DataConfig
from segcore.data.stats.survey import dataset_stats
from segcore.errors import DataError


def write_png(path, pixels):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def write_set(root, names="sky\nland\ncar\n", **splits):
    """Write lists of samples, each a label and the grey value of its image."""
    for split, samples in splits.items():
        rows = []
        for number, (label, grey) in enumerate(samples):
            image, mask = f"images/{split}{number}.png", f"annotations/{split}{number}.png"
            write_png(root / mask, label)
            write_png(root / image, np.full((*label.shape, 3), grey, np.uint8))
            rows.append(f"{image} {mask}\n")
        (root / f"{split}.txt").write_text("".join(rows))
    (root / "labels.txt").write_text(names)
    return root


def halves(height=16, width=16):
    label = np.zeros((height, width), np.uint8)
    label[height // 2 :] = 1
    return label


def with_cars():
    """Give land and sky, two cars of 4 and 100 pixels that touch nothing, 32 pixels ignored."""
    label = halves(32, 32)
    label[2:4, 2:4] = 2
    label[20:30, 5:15] = 2
    label[31] = 255
    return label


@pytest.fixture
def known(tmp_path):
    return write_set(
        tmp_path,
        train=[(halves(), 0), (with_cars(), 255)],
        val=[(halves(8, 24), 100)],
    )


def test_pixels_shares_and_images_of_classes_are_exact(known):
    stats = dataset_stats(known)
    sky, land, car = stats.total.classes
    assert (sky.pixels, land.pixels, car.pixels) == (128 + 508 + 96, 128 + 380 + 96, 104)
    assert (sky.images, land.images, car.images) == (3, 3, 1)
    assert car.share == 104 / (256 + 1024 - 32 + 192)
    assert (stats.total.pixels, stats.total.ignored_pixels) == (256 + 1024 + 192, 32)
    assert stats.total.ignored_share == 32 / 1472


def test_splits_are_told_apart(known):
    train, val = dataset_stats(known).splits
    assert (train.name, train.images, val.name, val.images) == ("train", 2, "val", 1)
    assert [found.images for found in val.classes] == [1, 1, 0]
    only = dataset_stats(known, splits=["val"])
    assert only.splits == (val,)
    assert only.total.images == 1


def test_objects_are_regions_with_their_areas(known):
    car = dataset_stats(known).total.classes[2]
    assert (car.objects, car.tiny_objects) == (2, 1)
    area = car.object_area
    assert (area.minimum, area.mean, area.maximum) == (4, 52, 100)


def test_the_median_area_is_right_to_five_percent(tmp_path):
    label = np.zeros((64, 256), np.uint8)
    areas = []
    for number, side in enumerate((1, 3, 5, 9, 17, 30, 33)):
        label[2 : 2 + side, 36 * number : 36 * number + side] = 1
        areas.append(side * side)
    area = dataset_stats(write_set(tmp_path, train=[(label, 9)])).total.classes[1].object_area
    assert area.median == pytest.approx(np.median(areas), rel=0.05)
    assert (area.minimum, area.maximum) == (1, 33 * 33)


def test_regions_that_touch_at_a_corner_are_one_object(tmp_path):
    label = np.zeros((8, 8), np.uint8)
    label[2, 2] = label[3, 3] = 1
    assert dataset_stats(write_set(tmp_path, train=[(label, 9)])).total.classes[1].objects == 1


def test_cooccurrence_counts_images(known):
    assert dataset_stats(known).total.cooccurrence == ((3, 3, 1), (3, 3, 1), (1, 1, 1))


def test_brightness_and_channels_are_those_of_all_pixels(known):
    total = dataset_stats(known).total
    greys = np.concatenate([np.zeros(256), np.full(1024, 255), np.full(192, 100)]) / 255
    assert total.mean == pytest.approx([greys.mean()] * 3, abs=1e-4)
    assert total.std == pytest.approx([greys.std()] * 3, abs=1e-4)
    assert (total.brightness.minimum, total.brightness.median) == (0, 100)
    assert total.contrast.maximum == 0
    assert sum(total.brightness_histogram) == 3
    assert (total.brightness_histogram[0], total.brightness_histogram[-1]) == (1, 1)


def test_channels_keep_their_order(tmp_path):
    root = write_set(tmp_path, train=[(halves(), 0)])
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 0] = 255  # OpenCV writes blue first
    write_png(root / "images/train0.png", blue)
    assert dataset_stats(root).total.mean == (0, 0, 1)


def test_sizes_and_aspects(known):
    total = dataset_stats(known).total
    assert total.distinct_sizes == 3
    assert {(s.width, s.height): s.images for s in total.sizes} == {
        (16, 16): 1,
        (32, 32): 1,
        (24, 8): 1,
    }
    assert (total.width.median, total.height.median, total.aspect.maximum) == (24, 16, 3)


def test_labels_that_ignore_everything_are_counted(tmp_path):
    ignored = np.full((8, 8), 255, np.uint8)
    stats = dataset_stats(write_set(tmp_path, train=[(halves(), 1), (ignored, 1)]))
    assert (stats.total.ignored_images, stats.total.images) == (1, 2)


def test_unreadable_samples_are_counted_and_said(known):
    (known / "images/train1.png").write_bytes(b"no picture at all")
    stats = dataset_stats(known)
    assert (stats.total.images, stats.total.unreadable, stats.splits[0].unreadable) == (2, 1, 1)
    assert "images/train1.png" in stats.problems[0]
    assert "line 2" in stats.problems[0]


def test_settings_of_reading_apply(tmp_path):
    label = halves() * 255
    root = write_set(tmp_path, names="no\nyes\n", train=[(label, 1)])
    stats = dataset_stats(root, config=DataConfig(label_map={255: 1}))
    assert stats.total.classes[1].pixels == 128


def test_the_numbers_do_not_depend_on_the_threads(known):
    assert dataset_stats(known, workers=0) == dataset_stats(known, workers=3)


def test_statistics_are_json(known):
    found = json.loads(json.dumps(dataset_stats(known).as_json(), allow_nan=False))
    assert found["total"]["classes"][2]["name"] == "car"
    assert found["splits"][0]["cooccurrence"][0][2] == 1


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(DataError, match="no dataset of a known layout"):
        dataset_stats(tmp_path)


def test_progress_sees_every_sample(known):
    seen = []

    def watch(items, /, *, total):
        for item in items:
            seen.append(total)
            yield item

    dataset_stats(known, progress=watch)
    assert seen == [3, 3, 3]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_images_of_any_number_of_channels_are_measured(channels):
    from segcore.data.stats.measure import measure
    from segcore.tasks.sample import Sample

    image = np.random.default_rng(0).integers(0, 256, (16, 16, channels), dtype=np.uint8)
    found = measure(Sample(image, halves()), 255)
    assert found.channel_means == pytest.approx(image.mean((0, 1)))
    assert found.channel_stds == pytest.approx(image.std((0, 1)))
    weights = [0.299, 0.587, 0.114] if channels == 3 else [1 / channels] * channels
    assert found.brightness == pytest.approx((image @ weights).mean(), abs=0.5)


def test_a_dataset_of_a_plugin_may_raise_anything(known, monkeypatch):
    from segcore.data.segdataset import SegDataset

    whole = SegDataset.load

    def load(self, index):
        if index == 1:
            raise KeyError("tile")
        return whole(self, index)

    monkeypatch.setattr(SegDataset, "load", load)
    stats = dataset_stats(known)
    assert (stats.total.images, stats.total.unreadable) == (2, 1)
    assert "images/train1.png (train.txt, line 2): KeyError while reading it" in stats.problems[0]
