import numpy as np

from segcore.tasks.paste import paste_mask
from segcore.tasks.rle import decode_mask


def pasted_by_definition(scores, box, size):
    """Every pixel of the image by itself, in double precision."""
    resolution = len(scores)
    y = (np.arange(size[0]) + 0.5 - box[1]) / (box[3] - box[1]) * resolution - 0.5
    x = (np.arange(size[1]) + 0.5 - box[0]) / (box[2] - box[0]) * resolution - 0.5
    cells = np.arange(resolution)
    rows, columns = (np.maximum(1 - abs(place[:, None] - cells), 0) for place in (y, x))
    return rows @ scores @ columns.T


def test_pixels_are_those_at_which_the_interpolation_reaches_one_half():
    generator = np.random.default_rng(3)
    for _ in range(100):
        size = tuple(generator.integers(5, 60, 2).tolist())
        x, y = generator.uniform(-10, 50, 2)
        box = np.array([x, y, x + generator.uniform(0.5, 60), y + generator.uniform(0.5, 60)])
        scores = generator.random((7, 7)).astype(np.float32)
        exact = pasted_by_definition(scores, box, size)
        drawn = decode_mask(paste_mask(scores, box, size))
        clear = abs(exact - 0.5) > 1e-3
        assert (drawn == (exact >= 0.5))[clear].all()


def test_a_box_without_area_or_outside_covers_nothing():
    ones = np.ones((4, 4), np.float32)
    for box in ((5, 5, 5, 5), (50, 50, 60, 60), (-30, -30, -20, -20)):
        assert not decode_mask(paste_mask(ones, np.array(box, np.float32), (20, 20))).any()
    assert decode_mask(paste_mask(ones, np.array([-5, -5, 30, 30.0]), (20, 20))).all()
