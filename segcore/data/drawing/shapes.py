"""Draw coloured shapes that overlap on a textured ground, a class a kind of shape."""

from __future__ import annotations

import numpy as np

from segcore.data.drawing.texture import cloud, finish, grid

__all__ = ["CLASS_NAMES", "draw_objects", "draw_shapes"]

CLASS_NAMES = ("background", "circle", "rectangle", "triangle", "star")

_OVERSAMPLING = 4
_SHADOW = np.float32(0.55)


def draw_shapes(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw 4 to 9 shapes: image (size, size, 3) uint8 RGB, label (size, size) uint8 from 0 to 4.

    Later shapes cover earlier ones; a pixel belongs to the shape that covers most of it.
    """
    image, objects = draw_objects(rng, size)
    label = np.zeros((size, size), np.uint8)
    for number, visible in objects:
        label[visible] = number
    return image, label


def draw_objects(
    rng: np.random.Generator, size: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Draw as `draw_shapes` does; give the image, and class and visible part of each shape.

    The parts are (size, size) bool; those of shapes that others cover wholly are empty.
    """
    image = _paint_ground(rng, size)
    objects: list[tuple[int, np.ndarray]] = []
    for _ in range(int(rng.integers(4, 10))):
        number = int(rng.integers(1, len(CLASS_NAMES)))
        cover = _cover(_outline(rng, CLASS_NAMES[number]), size)
        image = _paint_shape(rng, image, cover)
        on_top = cover >= 0.5
        objects = [(other, visible & ~on_top) for other, visible in objects]
        objects.append((number, on_top))
    image = finish(image, rng, size * rng.uniform(0.001, 0.003), rng.uniform(0.005, 0.02))
    return image, objects


def _paint_ground(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = grid(size)
    first, second = rng.uniform(0.25, 0.8, (2, 3)).astype(np.float32)
    # Both colours stay dull, so that shapes differ from the ground by saturation as well.
    first, second = (0.75 * c.mean() + 0.25 * c for c in (first, second))
    angle = rng.uniform(0, 2 * np.pi)
    along = ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle) + 0.5)[..., None]
    ground = first + along * (second - first)
    relief = 0.05 * cloud(rng, size, 4) + 0.03 * cloud(rng, size, 32, octaves=3)
    if rng.uniform() < 0.4:  # wood or cloth: waves that the relief bends
        waves = rng.uniform(12, 40) * (x * np.sin(angle) - y * np.cos(angle))
        relief = relief + 0.04 * np.sin(2 * np.pi * waves + 8 * relief / 0.05)
    painted: np.ndarray = ground * (1 + relief)[..., None]
    return painted


def _outline(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Give the corners (N, 2) of a shape of random place, size and rotation, in image sides."""
    radius = rng.uniform(0.09, 0.24)
    if kind == "circle":
        turns = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        reach = np.ones_like(turns)
    elif kind == "rectangle":
        half = np.arctan(rng.uniform(0.45, 1.0))
        turns = np.array((half, np.pi - half, np.pi + half, -half))
        reach = np.full(4, 1.1)
    elif kind == "triangle":
        turns = np.array((0, 2, 4)) * np.pi / 3 + rng.uniform(-0.25, 0.25, 3)
        reach = np.full(3, 1.2)
    else:
        turns = np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.25, 1.25 * rng.uniform(0.4, 0.52))
    turns = turns + rng.uniform(0, 2 * np.pi)
    corners = np.stack((np.cos(turns), np.sin(turns)), axis=1) * reach[:, None] * radius
    return corners + rng.uniform(0.08, 0.92, 2)


def _cover(corners: np.ndarray, size: int) -> np.ndarray:
    """Give the share of each pixel that the polygon covers, (size, size) float32 from 0 to 1."""
    import cv2

    side = size * _OVERSAMPLING
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [np.rint(corners * side * 16).astype(np.int32)], 255, cv2.LINE_8, shift=4)
    area = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32) / 255


def _paint_shape(rng: np.random.Generator, image: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Lay a lit, lightly worn piece of coloured material onto the image, with its shadow."""
    import cv2

    size = image.shape[0]
    x, y = grid(size)
    drop = size * rng.uniform(0.008, 0.02)
    move = np.array([[1, 0, drop], [0, 1, drop]], np.float32)
    shadow = cv2.warpAffine(cv2.GaussianBlur(cover, (0, 0), drop), move, (size, size))
    image = image * (1 - (1 - _SHADOW) * shadow * (1 - cover))[..., None]
    hue = np.array([[[rng.uniform(0, 360), rng.uniform(0.55, 0.95), rng.uniform(0.55, 1.0)]]])
    colour = cv2.cvtColor(hue.astype(np.float32), cv2.COLOR_HSV2RGB)[0, 0]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.35 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    wear = 1 + 0.04 * cloud(rng, size, 12, octaves=4)
    # The border catches light on one side: a thin bevel from the gradient of the covered area.
    soft = cv2.GaussianBlur(cover, (0, 0), size / 128)
    bevel = (cv2.Sobel(soft, cv2.CV_32F, 1, 0) + cv2.Sobel(soft, cv2.CV_32F, 0, 1)) * 0.12
    material = colour * (light * wear + bevel)[..., None]
    painted: np.ndarray = image + cover[..., None] * (material - image)
    return painted
