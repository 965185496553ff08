import numpy as np
import pytest


@pytest.fixture
def stripes():
    """An image of 24 x 16 pixels: a red, a green and a blue stripe of 8 columns each."""
    image = np.full((16, 24, 3), 40, np.uint8)
    for channel in range(3):
        image[:, 8 * channel : 8 * channel + 8, channel] = 220
    return image


@pytest.fixture
def stripe_classes():
    """The class map of `stripes`."""
    return np.repeat(np.arange(3, dtype=np.uint8), 8)[None].repeat(16, axis=0)


@pytest.fixture
def save_image():
    """Give what writes an array as an image file."""
    from PIL import Image

    def save(image, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        return path

    return save
