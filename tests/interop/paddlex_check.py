"""Run an exported model in PaddleX and in segcore, side by side, and compare the label maps.

Runs in an environment that has PaddleX 3 and what segcore needs, with segcore on PYTHONPATH:

    python tests/interop/paddlex_check.py EXPORT_FOLDER IMAGE_FOLDER

Prints a JSON line for each case: how many images, and how many pixels differ.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

os.environ.setdefault("PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK", "True")

# Not among them: other target sizes. There segcore means exactly that size and takes the pixel
# under the centre on the way back; PaddleX keeps the ratio and takes the one to the upper left.
CASES = (
    {"target_size": None, "batch_size": 1},
    {"target_size": None, "batch_size": 2},
    {"target_size": -1, "batch_size": 1},
)


def main(export: Path, images: Path) -> int:
    with TemporaryDirectory() as folder:
        foreign = as_paddlex_writes(export, Path(folder, "inference"))
        return max([compare(origin, images) for origin in (export, foreign)])


def as_paddlex_writes(export: Path, target: Path) -> Path:
    """Copy an export, and leave in its description only what PaddleX's own trainings write."""
    shutil.copytree(export, target)
    description = yaml.safe_load((export / "inference.yml").read_text())
    del description["Segcore"]
    description["Deploy"]["transforms"] = [{"type": "Normalize"}]
    (target / "MANIFEST.json").unlink(missing_ok=True)  # PaddleX writes none
    (target / "inference.yml").write_text(yaml.safe_dump(description))
    return target


def compare(export: Path, images: Path) -> int:
    """Print a line for each case; give 1 where a pixel differs."""
    import paddlex

    import segcore

    name = yaml.safe_load((export / "inference.yml").read_text())["Global"]["model_name"]
    theirs = paddlex.create_model(name, model_dir=str(export), device="cpu")
    ours = segcore.create_model(name, model_dir=export, device="cpu")
    paths = [str(path) for path in sorted(images.iterdir())]
    total = 0
    for case in CASES:
        options = {key: value for key, value in case.items() if value is not None}
        expected = [np.asarray(r["pred"])[0] for r in theirs.predict(paths, **options)]
        actual = [result.label_map for result in ours.predict(paths, **options)]
        differing = sum(int((a != b).sum()) for a, b in zip(expected, actual, strict=True))
        classes = sorted({int(value) for labels in expected for value in np.unique(labels)})
        print(
            json.dumps({**case, "images": len(paths), "classes": classes, "differing": differing})
        )
        total += differing
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
