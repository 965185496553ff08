"""Run an exported instance model in PaddleX and in segcore, side by side; compare boxes and masks.

Runs in an environment that has PaddleX 3 and what segcore needs, with segcore on PYTHONPATH:

    python tests/interop/paddlex_instances.py EXPORT_FOLDER IMAGE_FOLDER [NAME]

PaddleX takes no names but those of its own models. NAME is one of them, under which it is given the
export; without it the export's own name is tried. Prints a JSON line for each case.
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

THRESHOLD = 0.05
FOREIGN_KEYS = ("mode", "metric", "arch", "mask", "draw_threshold", "label_list", "Preprocess")


def main(export: Path, images: Path, name: str | None) -> int:
    paths = [str(path) for path in sorted(images.iterdir())]
    with TemporaryDirectory() as folder:
        renamed = copy(export, Path(folder, "renamed"), name, foreign=False)
        foreign = copy(export, Path(folder, "foreign"), name, foreign=True)
        return max([compare(origin, paths) for origin in (renamed, foreign)])


def copy(export: Path, target: Path, name: str | None, *, foreign: bool) -> Path:
    """Copy an export; for `foreign` leave only what PaddleX's own trainings write."""
    shutil.copytree(export, target)
    description = yaml.safe_load((export / "inference.yml").read_text())
    if name is not None:
        description["Global"]["model_name"] = name
    if foreign:
        description = {key: description[key] for key in ("Global", *FOREIGN_KEYS)}
    (target / "MANIFEST.json").unlink(missing_ok=True)  # PaddleX writes none
    (target / "inference.yml").write_text(yaml.safe_dump(description))
    return target


def compare(export: Path, paths: list[str]) -> int:
    """Print how far boxes, scores and masks are apart at most; give 1 where they differ."""
    import paddlex

    import segcore

    name = yaml.safe_load((export / "inference.yml").read_text())["Global"]["model_name"]
    theirs = paddlex.create_model(name, model_dir=str(export), device="cpu", threshold=THRESHOLD)
    ours = segcore.create_model(
        None, export, device="cpu", runtime="paddle", score_threshold=THRESHOLD
    )
    objects, unlike, box, score, pixels = 0, 0, 0.0, 0.0, 0
    results = zip(theirs.predict(paths, batch_size=1), ours.predict(paths), strict=True)
    for expected, actual in results:
        # segcore gives the best first, PaddleX gives them as the graph does, which is by classes
        order = np.argsort([-row["score"] for row in expected["boxes"]], kind="stable")
        rows = [expected["boxes"][place] for place in order]
        crops = [expected["masks"][place] for place in order]
        detections = actual.detections
        objects += len(rows)
        labels = [row["label"] for row in rows]
        named = [ours.task.class_names[number] for number in detections.classes]
        if labels != named:
            unlike += 1
            continue
        for number, (row, crop) in enumerate(zip(rows, crops, strict=True)):
            box = max(box, float(np.abs(row["coordinate"] - detections.boxes[number]).max()))
            score = max(score, abs(row["score"] - float(detections.scores[number])))
            pixels += int((crop != window(detections.masks[number], row["coordinate"])).sum())
    print(
        json.dumps(
            {
                "model": name,
                "images": len(paths),
                "objects": objects,
                "unlike_images": unlike,
                "box_px": box,
                "score": score,
                "mask_pixels": pixels,
            }
        )
    )
    return 1 if unlike else 0


def window(mask, box) -> np.ndarray:
    """Cut `mask` by its box, as PaddleX gives masks."""
    from segcore.tasks.rle import decode_mask

    left, top, right, bottom = (round(side) for side in box)
    return decode_mask(mask)[top:bottom, left:right]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or [None])[0]))
