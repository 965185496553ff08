"""Cut a dataset out of one photograph: the coins that scikit-image carries.

    python docs/examples/coins.py DIR

The label comes from a watershed on the edges, as scikit-image's own tutorial on coins does it. The
photograph is cut into overlapping tiles; its lower quarter is held out and shares no pixel with
the tiles to train on.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data, filters, segmentation

TILE_PX = 96
STRIDE_PX = 32


def find_coins(photograph: np.ndarray) -> np.ndarray:
    """Give (H, W) uint8 with 1 on coins: a watershed from what is surely dark or bright."""
    markers = np.zeros(photograph.shape, np.int32)
    markers[photograph < 30] = 1
    markers[photograph > 150] = 2
    regions = segmentation.watershed(filters.sobel(photograph), markers)
    return ndimage.binary_fill_holes(regions == 2).astype(np.uint8)


def cut_tiles(height: int, width: int, top: int) -> list[tuple[int, int]]:
    """List the upper left corners (y, x) of tiles between the rows `top` and `top + height`."""
    rows = range(top, top + height - TILE_PX + 1, STRIDE_PX)
    return [(y, x) for y in rows for x in range(0, width - TILE_PX + 1, STRIDE_PX)]


def main(folder: Path) -> None:
    """Write the dataset into `folder`."""
    photograph = data.coins()
    label = find_coins(photograph)
    height, width = photograph.shape
    held_out = TILE_PX
    splits = {
        "train": cut_tiles(height - held_out, width, 0),
        "val": cut_tiles(held_out, width, height - held_out),
    }
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for split, corners in splits.items():
        rows = []
        for y, x in corners:
            area = np.s_[y : y + TILE_PX, x : x + TILE_PX]
            image, mask = f"images/{y:03}_{x:03}.png", f"annotations/{y:03}_{x:03}.png"
            Image.fromarray(photograph[area]).convert("RGB").save(folder / image)
            Image.fromarray(label[area]).save(folder / mask)
            rows.append(f"{image} {mask}\n")
        (folder / f"{split}.txt").write_text("".join(rows))
    (folder / "labels.txt").write_text("background\ncoin\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
