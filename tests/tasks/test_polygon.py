import cv2
import numpy as np
import pytest
from pycocotools import mask as reference

from segcore.tasks.polygon import clip_polygon, polygon_area, polygon_box, polygon_rle, rasterise
from segcore.tasks.rle import rle_json

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawn_by_reference(polygons: list[np.ndarray], height: int, width: int) -> dict:
    objects = reference.frPyObjects([p.reshape(-1).tolist() for p in polygons], height, width)
    return reference.merge(objects)


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("rounding", [None, 0, 1])
def test_pixels_are_those_of_the_reference(spread: float, rounding: int | None) -> None:
    """Random outlines that cross themselves, on and off the grid, also beyond the borders."""
    generator = np.random.default_rng([int(spread * 10), 7 if rounding is None else rounding])
    for _ in range(300):
        height, width = generator.integers(1, 60, 2).tolist()
        polygons = [
            (generator.random((generator.integers(3, 12), 2)) * (1 + 2 * spread) - spread)
            * (width, height)
            for _ in range(generator.integers(1, 3))
        ]
        if rounding is not None:
            polygons = [p.round(rounding) for p in polygons]
        theirs = drawn_by_reference(polygons, height, width)
        assert rle_json(polygon_rle(polygons, height, width))["counts"] == theirs["counts"].decode()
        assert (rasterise(polygons, height, width) == reference.decode(theirs)).all()


def test_a_repeated_point_and_a_line_are_harmless() -> None:
    square = np.array([[1.0, 1], [1, 1], [6, 1], [6, 6], [1, 6], [1, 6]])
    assert rasterise([square], 8, 8).sum() == 25
    assert rasterise([np.array([[1.0, 1], [5, 5], [1, 1]])], 8, 8).sum() == 0


def test_far_points_cost_no_memory() -> None:
    far = np.array([[-1e30, -1e30], [1e30, -1e30], [1e30, 1e30], [-1e30, 1e30]])
    assert rasterise([far], 4, 5).all()


def test_area_and_box() -> None:
    triangle = np.array([[0.0, 0], [4, 0], [0, 3]])
    assert polygon_area(triangle) == polygon_area(triangle[::-1]) == 6
    assert polygon_box([triangle, triangle + 2]) == (0, 0, 6, 5)


def test_clipping_changes_no_pixel_inside() -> None:
    generator = np.random.default_rng(5)
    for _ in range(100):
        polygon = generator.random((7, 2)) * 60 - 20
        clipped = clip_polygon(polygon, 20, 24)
        whole = rasterise([polygon], 24, 20)
        if not len(clipped):
            assert not whole.any()
            continue
        assert (clipped >= 0).all()
        assert (clipped <= (20, 24)).all()
        edge = cv2.morphologyEx(whole, cv2.MORPH_GRADIENT, np.ones((3, 3)))
        assert edge[rasterise([clipped], 24, 20) != whole].all()
