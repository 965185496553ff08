"""Mean and deviation of channels are those of all pixels, whatever the number of channels."""

import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.stats.survey import dataset_stats


def write_arrays(root, arrays):
    """Write images (H, W, C) as arrays of NumPy, with empty labels; two thirds are for training."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    lists = {"train": [], "val": []}
    for number, array in enumerate(arrays):
        np.save(root / f"images/{number}.npy", array[..., 0] if array.shape[2] == 1 else array)
        label = np.zeros(array.shape[:2], np.uint8)
        Image.fromarray(label).save(root / f"annotations/{number}.png")
        row = f"images/{number}.npy annotations/{number}.png\n"
        lists["val" if number % 3 == 2 else "train"].append(row)
    for split, rows in lists.items():
        (root / f"{split}.txt").write_text("".join(rows))
    (root / "labels.txt").write_text("ground\nthing\n")
    return root


@pytest.mark.parametrize("channels", [1, 3, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_mean_and_deviation_are_those_of_numpy(channels, seed, tmp_path):
    rng = np.random.default_rng([seed, channels])
    spread, offset = rng.uniform(0, 1, channels), rng.uniform(0, 200, channels)
    arrays = [
        (rng.integers(0, 256, (*rng.integers(8, 70, 2), channels)) * spread + offset)
        .clip(0, 255)
        .astype(np.uint8)
        for _ in range(9)
    ]
    root = write_arrays(tmp_path / "set", arrays)
    total = dataset_stats(root, config=DataConfig(channels=channels)).total
    pixels = np.concatenate([array.reshape(-1, channels) for array in arrays]) / 255
    assert total.mean == pytest.approx(pixels.mean(0), abs=1e-4)
    assert total.std == pytest.approx(pixels.std(0), abs=1e-4)
