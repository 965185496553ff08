"""Draw photographs of the back of an eye with the optic disc as class 1.

The anatomy follows any atlas of ophthalmology: the disc is pale, one to two fields of view over
twelve wide and slightly upright, with a brighter cup; the fovea lies two and a half disc diameters
to its temporal side and a little lower; four vascular arcades leave the disc and bend around the
fovea, veins wider and darker than arteries. Lengths are fractions of the image side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcore.data.drawing.texture import cloud, finish, grid

__all__ = ["CLASS_NAMES", "draw_fundus"]

CLASS_NAMES = ("background", "optic_disc")

_SUBPIXEL_BITS = 4  # cv2 takes coordinates as integers with this many fractional bits
_OVERSAMPLING = 4  # the finest vessels are a fraction of a pixel wide
_MAX_DEPTH = 3


@dataclass(frozen=True)
class _Eye:
    """Where things are: x and y from 0 to 1. `side` is 1 when the fovea is right of the disc."""

    centre: tuple[float, float]
    radius: float
    disc: tuple[float, float]
    disc_radius: float
    elongation: float
    tilt: float
    fovea: tuple[float, float]
    side: int


def draw_fundus(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an eye: image (size, size, 3) uint8 RGB and label (size, size) uint8 of 0 and 1."""
    eye = _place(rng)
    x, y = grid(size)
    retina = _paint_retina(rng, eye, x, y)
    distance = _disc_distance(rng, eye, x, y)
    retina = _paint_disc(rng, retina, distance, eye)
    retina = _absorb(rng, retina, eye, distance)
    image = _expose(rng, retina, eye, x, y)
    image = finish(
        image, rng, blur=size * rng.uniform(0.0008, 0.0024), noise=rng.uniform(0.006, 0.018)
    )
    return image, (distance < 1).astype(np.uint8)


def _place(rng: np.random.Generator) -> _Eye:
    side = int(rng.choice((-1, 1)))
    centre = (0.5 + rng.uniform(-0.03, 0.03), 0.5 + rng.uniform(-0.03, 0.03))
    radius = rng.uniform(0.44, 0.54)
    disc_radius = rng.uniform(0.062, 0.095)
    # Photographs are centred on the fovea or on the disc, or on something between.
    shift = rng.uniform(0.05, 0.30)
    disc = (centre[0] - side * shift, centre[1] + rng.uniform(-0.08, 0.08))
    reach = disc_radius * 2 * rng.uniform(2.2, 2.8)
    fovea = (disc[0] + side * reach, disc[1] + disc_radius * rng.uniform(0.1, 0.7))
    return _Eye(
        centre,
        radius,
        disc,
        disc_radius,
        rng.uniform(1.0, 1.18),
        rng.uniform(-0.3, 0.3),
        fovea,
        side,
    )


def _disc_distance(rng: np.random.Generator, eye: _Eye, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give the distance from the middle of the disc, 1 on its uneven border."""
    dx, dy = x - eye.disc[0], y - eye.disc[1]
    cos, sin = np.cos(eye.tilt), np.sin(eye.tilt)
    across, along = (dx * cos + dy * sin), (dy * cos - dx * sin) / eye.elongation
    angle = np.arctan2(along, across)
    border = np.ones_like(x)
    for waves in (2, 3, 5):
        border += rng.normal(0, 0.05 / waves**1.5) * np.cos(
            waves * angle + rng.uniform(0, 2 * np.pi)
        )
    distance: np.ndarray = np.hypot(across, along) / (eye.disc_radius * border)
    return distance


def _paint_retina(rng: np.random.Generator, eye: _Eye, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    size = x.shape[0]
    dark, pale = np.array((0.56, 0.23, 0.10)), np.array((0.86, 0.50, 0.27))
    base = dark + (pale - dark) * rng.uniform(0.1, 0.9) + rng.normal(0, 0.02, 3)
    retina: np.ndarray = np.ones((size, size, 1), np.float32) * base.astype(np.float32)
    mottling = 0.05 * cloud(rng, size, 5) + 0.035 * cloud(rng, size, 28, octaves=3)
    # Choroidal vessels shine through as pale streaks, more so in lightly pigmented eyes.
    streaks = np.abs(cloud(rng, size, 9, octaves=2)) * rng.uniform(0.0, 0.06)
    retina *= (1 + mottling - streaks)[..., None]
    fovea = np.hypot(x - eye.fovea[0], y - eye.fovea[1]) / eye.disc_radius
    shade = rng.uniform(0.25, 0.45) * np.exp(-((fovea / 1.3) ** 2)) + 0.10 * np.exp(
        -((fovea / 3) ** 2)
    )
    retina *= 1 - shade[..., None] * np.array((0.75, 1.0, 1.0), np.float32)
    halo = np.exp(-((np.hypot(x - eye.disc[0], y - eye.disc[1]) / (2.6 * eye.disc_radius)) ** 2))
    retina *= 1 + halo[..., None] * np.array((0.10, 0.16, 0.16), np.float32)
    if rng.uniform() < 0.35:
        retina = _paint_exudates(rng, retina, eye, x, y)
    return retina


def _paint_exudates(
    rng: np.random.Generator, retina: np.ndarray, eye: _Eye, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Add small yellow deposits around the fovea: bright, and not the disc."""
    spots = np.zeros_like(x)
    for _ in range(int(rng.integers(6, 28))):
        turn, reach = rng.uniform(0, 2 * np.pi), eye.disc_radius * rng.uniform(0.8, 3.2)
        centre = (eye.fovea[0] + reach * np.cos(turn), eye.fovea[1] + reach * np.sin(turn))
        radius = eye.disc_radius * rng.uniform(0.03, 0.13)
        squared = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2
        spots = np.maximum(spots, np.exp(-(squared**1.5)) * rng.uniform(0.3, 0.8))
    yellow = np.array((0.93, 0.80, 0.45), np.float32)
    painted: np.ndarray = retina + spots[..., None] * (yellow - retina)
    return painted


def _paint_disc(
    rng: np.random.Generator,
    retina: np.ndarray,
    distance: np.ndarray,
    eye: _Eye,
) -> np.ndarray:
    x, y = grid(retina.shape[0])
    softness = rng.uniform(0.05, 0.12)
    cover = 1 / (1 + np.exp(np.clip((distance - 1) / softness * 2, -30, 30)))
    rim = np.array((0.96, 0.74, 0.45)) + rng.normal(0, 0.02, 3)
    cup = np.array((1.0, 0.91, 0.70)) + rng.normal(0, 0.015, 3)
    ratio = rng.uniform(0.3, 0.6)
    offset = eye.side * 0.15 * eye.disc_radius
    to_cup = np.hypot(x - eye.disc[0] - offset, (y - eye.disc[1]) / 1.05) / (
        ratio * eye.disc_radius
    )
    cup_cover = 1 / (1 + np.exp(np.clip((to_cup - 1) * 7, -30, 30)))
    colour = rim + cup_cover[..., None] * (cup - rim)
    # The nasal rim is redder, and fine fibres leave it radially.
    nasal = np.clip(-eye.side * (x - eye.disc[0]) / eye.disc_radius, 0, 1)
    colour = colour * (1 - nasal[..., None] * np.array((0.03, 0.12, 0.16)))
    colour = colour * (1 + 0.03 * cloud(rng, retina.shape[0], 48, octaves=2)[..., None])
    crescent = np.exp(-(((distance - 1.08) / 0.07) ** 2)) * rng.uniform(0, 0.25)
    ground = retina * (1 - crescent[..., None])
    painted: np.ndarray = ground + cover[..., None] * (colour * rng.uniform(0.88, 1.02) - ground)
    return painted


def _absorb(
    rng: np.random.Generator, retina: np.ndarray, eye: _Eye, distance: np.ndarray
) -> np.ndarray:
    """Darken the retina along a tree of arteries and, above it, a tree of veins."""
    size = retina.shape[0]
    # Over the disc blood lies before a bright ground and looks thinner.
    over_disc = np.where(distance < 1, 0.7, 1.0)[..., None].astype(np.float32)
    for is_vein in (False, True):
        width = eye.disc_radius * (0.18 if is_vein else 0.125)
        vessels = _draw_vessels(rng, eye, size, width)[..., None]
        strength = rng.uniform(0.50, 0.66) if is_vein else rng.uniform(0.34, 0.48)
        # Blood swallows green and blue; arteries carry more oxygen and look redder.
        tint = np.array((0.60, 1.0, 0.95) if is_vein else (0.38, 0.95, 1.0), np.float32)
        retina = retina * (1 - strength * vessels * over_disc * tint)
    return retina


def _draw_vessels(rng: np.random.Generator, eye: _Eye, size: int, width: float) -> np.ndarray:
    """Draw one vascular tree: (size, size) float32 from 0 to 1, `width` at the disc."""
    import cv2

    canvas = np.zeros((size * _OVERSAMPLING, size * _OVERSAMPLING), np.uint8)
    for upward in (-1, 1):  # y grows downwards, so -1 is the upper half
        for towards, share in ((eye.side, 1.0), (-eye.side, 0.7)):
            spread = rng.uniform(0.3, 0.7)
            heading = np.arctan2(upward, towards * spread)
            # Temporal arcades turn round the fovea, nasal ones run on almost straight.
            turn = -upward * towards * (rng.uniform(1.3, 2.1) if towards == eye.side else 0.6)
            start = (
                eye.disc[0] + rng.normal(0, 0.12) * eye.disc_radius,
                eye.disc[1] + rng.normal(0, 0.12) * eye.disc_radius,
            )
            trunk = _Vessel(start, heading, turn, width * share * rng.uniform(0.85, 1.1), 0.75)
            _grow(rng, canvas, trunk, eye, depth=0)
    area = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32) / 255


@dataclass(frozen=True)
class _Vessel:
    """A vessel before it is drawn: lengths in image sides, angles in radians."""

    start: tuple[float, float]
    heading: float
    turn: float
    width: float
    length: float


def _grow(
    rng: np.random.Generator, canvas: np.ndarray, vessel: _Vessel, eye: _Eye, depth: int
) -> None:
    """Draw a vessel as a meandering line that tapers, with the branches that leave it."""
    import cv2

    side = canvas.shape[0]
    scale = side * 2**_SUBPIXEL_BITS
    (x, y), heading, step = vessel.start, vessel.heading, 0.011
    steps = int(vessel.length / step)
    wander, until_branch = 0.0, int(rng.integers(6, 14))
    for number in range(steps):
        wander = 0.85 * wander + rng.normal(0, 0.06)
        heading += vessel.turn * step + wander * 0.6
        away_x, away_y = x - eye.fovea[0], y - eye.fovea[1]
        distance = np.hypot(away_x, away_y) / eye.disc_radius
        if distance < 1.2:
            return
        # The fovea has no vessels: those that come near are led around it.
        avoidance = np.clip((3.0 - distance) / 1.8, 0, 1)
        heading += 0.22 * avoidance * np.sin(np.arctan2(away_y, away_x) - heading)
        following = (x + step * np.cos(heading), y + step * np.sin(heading))
        width = vessel.width * (1 - 0.6 * number / steps)
        start, end = ((round(px * scale), round(py * scale)) for px, py in ((x, y), following))
        thickness = max(1, round(width * side))
        cv2.line(canvas, start, end, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        x, y = following
        until_branch -= 1
        if until_branch <= 0 and depth < _MAX_DEPTH:
            away = float(rng.choice((-1, 1))) * rng.uniform(0.45, 0.95)
            turn = -away * rng.uniform(0.0, 1.6)
            length = (vessel.length - number * step) * rng.uniform(0.45, 0.8)
            branch = _Vessel((x, y), heading + away, turn, width * rng.uniform(0.5, 0.72), length)
            _grow(rng, canvas, branch, eye, depth + 1)
            heading -= away * 0.15
            until_branch = int(rng.integers(5, 13))


def _expose(
    rng: np.random.Generator, retina: np.ndarray, eye: _Eye, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Light the retina through the pupil and put the camera's mask around it."""
    radius = np.hypot(x - eye.centre[0], y - eye.centre[1]) / eye.radius
    vignette = 1 - rng.uniform(0.25, 0.5) * np.clip(radius, 0, 1.2) ** 2.2
    angle = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.22)
    lean = 1 + slope * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)) * 2
    light = vignette * lean * rng.uniform(0.82, 1.12)
    if rng.uniform() < 0.3:  # a crescent of stray light at the border of the pupil
        glare = np.exp(
            -((np.hypot(x - 0.5 - 0.5 * np.cos(angle), y - 0.5 - 0.5 * np.sin(angle)) / 0.25) ** 2)
        )
        retina = retina + glare[..., None] * rng.uniform(0.05, 0.2) * np.array((1.0, 0.75, 0.5))
    white = np.array((1.0, 1.0, 1.0)) + rng.normal(0, 0.025, 3)
    lit = np.clip(retina * light[..., None] * white, 0, 1) ** rng.uniform(0.85, 1.15)
    seen = np.clip((1 - radius) * eye.radius * x.shape[0] / 1.5, 0, 1)[..., None]
    surround = np.array((0.018, 0.012, 0.012)) * rng.uniform(0.3, 1.6)
    exposed: np.ndarray = surround + seen * (lit - surround)
    return exposed
