import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segcore.data.coco import PROBLEM_KINDS, CocoFile, read_coco
from segcore.errors import DataError
from segcore.tasks.rle import Rle

SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


def content(**annotation: Any) -> dict[str, Any]:
    """One image of 10 x 8 pixels with one sound object, changed as `annotation` says."""
    sound = {
        "id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 4],
        "area": 16, "segmentation": SQUARE, "iscrowd": 0,
    }  # fmt: skip
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 8}],
        "annotations": [{**sound, **annotation}],
        "categories": [{"id": 3, "name": "cat"}],
    }


def read(tmp_path: Path, value: Any, **options: Any) -> CocoFile:
    path = tmp_path / "instances.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_coco(path, **options)


def kinds(file: CocoFile) -> list[str]:
    return [problem.kind for problem in file.problems]


def test_a_sound_file_has_no_problems(tmp_path: Path) -> None:
    file = read(tmp_path, content())
    (annotation,) = file.annotations
    assert file.problems == ()
    assert annotation.bbox == (1, 1, 4, 4)
    assert not annotation.iscrowd
    assert annotation.segmentation[0].tolist() == [[1, 1], [5, 1], [5, 5], [1, 5]]


def test_a_crowd_is_runs(tmp_path: Path) -> None:
    runs = {"size": [8, 10], "counts": [10, 20, 50]}
    (annotation,) = read(tmp_path, content(segmentation=runs, iscrowd=1)).annotations
    assert annotation.iscrowd
    assert isinstance(annotation.segmentation, Rle)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("few-points", {"segmentation": [[1, 1, 5, 5]]}),
        ("not-finite", {"segmentation": [[1, 1, 5, float("nan"), 5, 5]]}),
        ("not-finite", {"segmentation": [[1, 1, 5, float("inf"), 5, 5]]}),
        ("not-finite", {"bbox": [1, 1, float("nan"), 4]}),
        ("outside-image", {"segmentation": [[20, 1, 30, 1, 30, 5]]}),
        ("empty-rle", {"segmentation": {"size": [8, 10], "counts": [80]}}),
        ("rle-size", {"segmentation": {"size": [10, 8], "counts": [10, 70]}}),
        ("rle-size", {"segmentation": {"size": [8, 10], "counts": [10, 60]}}),
        ("rle-size", {"segmentation": {"size": [8, 10], "counts": "????"}}),
        ("unknown-category", {"category_id": 4}),
        ("unknown-image", {"image_id": 2}),
        ("no-segmentation", {"segmentation": []}),
        ("no-segmentation", {"segmentation": None}),
        ("malformed", {"segmentation": [[1, 1, 5, 1, 5]]}),
        ("malformed", {"segmentation": [1, 1, 5, 1, 5, 5]}),
        ("malformed", {"segmentation": [["1", 1, 5, 1, 5, 5]]}),
        ("malformed", {"segmentation": [[[1, 1], [5, 1], [5, 5]]]}),
        ("malformed", {"segmentation": [[10**400, 1, 5, 1, 5, 5]]}),
        ("malformed", {"bbox": ["1", 1, 4, 4]}),
        ("malformed", {"bbox": [10**400, 1, 4, 4]}),
        ("malformed", {"id": "one"}),
        ("malformed", {"image_id": None}),
        ("malformed", {"image_id": [1]}),
    ],
)
def test_an_object_that_cannot_be_used_is_left_out(
    tmp_path: Path, kind: str, change: dict[str, Any]
) -> None:
    file = read(tmp_path, content(**change))
    assert not file.annotations
    assert kind in kinds(file)
    assert set(kinds(file)) <= set(PROBLEM_KINDS)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("few-points", {"segmentation": [*SQUARE, [1, 1]]}),
        ("over-edge", {"segmentation": [[1, 1, 13, 1, 5, 5]]}),
        ("empty-box", {"bbox": [1, 1, 0, 4]}),
        ("empty-box", {"bbox": None}),
    ],
)
def test_an_object_with_a_flaw_is_kept(tmp_path: Path, kind: str, change: dict[str, Any]) -> None:
    file = read(tmp_path, content(**change))
    (problem,) = file.problems
    assert len(file.annotations) == 1
    assert (problem.kind, problem.file, problem.annotation_id) == (kind, "a.jpg", 1)
    assert file.annotations[0].bbox[2] >= 4


def test_doubles_gaps_and_bare_images_are_told(tmp_path: Path) -> None:
    value = content()
    value["images"] += [
        {"id": 1, "file_name": "b.jpg", "width": 10, "height": 8},
        {"id": 2, "file_name": "a.jpg"},
        "c.jpg",
    ]
    value["annotations"].append(value["annotations"][0])
    value["categories"] += [{"id": 3, "name": "dog"}, {"id": 9, "name": "cow"}, {"id": 5}]
    file = read(tmp_path, value)
    assert sorted(kinds(file)) == [
        "category-gap", "duplicate-file", "duplicate-id", "duplicate-id", "duplicate-id",
        "image-size", "malformed", "malformed", "no-annotations",
    ]  # fmt: skip
    assert len(file.images) == 2
    assert len(file.annotations) == 1
    assert [category.name for category in file.categories] == ["cat", "cow"]


def test_images_are_looked_for_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "here.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    names = {
        "here.jpg": None, "gone.jpg": "missing-image", "none/gone.jpg": "missing-image",
        "sub": "not-a-file", "pipe.jpg": "not-a-file", "../secret.jpg": "leaves-dataset",
        "/etc/passwd": "leaves-dataset", "link.jpg": "leaves-dataset", "loop.jpg": "leaves-dataset",
        "a\0b": "leaves-dataset",
    }  # fmt: skip
    for name, kind in names.items():
        value = content()
        value["images"][0]["file_name"] = name
        file = read(tmp_path, value, images=folder)
        told = [found for found in kinds(file) if found != "unknown-image"]
        assert told == ([kind] if kind else []), name
    value["images"][0]["file_name"] = "../secret.jpg"
    assert not read(tmp_path, value, images=folder, allow_outside=True).problems


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nests too deeply"),
        ('{"images": [', "is no JSON"),
        ("[]", "is no COCO file"),
        ('{"images": [], "annotations": {}, "categories": []}', "is no COCO file"),
        ("\xff\xfe", "is no JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, text)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**33)  # a hole, which takes no room
    with pytest.raises(DataError, match="8589934592 bytes"):
        read_coco(path)


def test_points_are_exact(tmp_path: Path) -> None:
    outline = [0.1, 0.2, 5.123456789, 1.3, 3.3, 7.7]
    (annotation,) = read(tmp_path, content(segmentation=[outline])).annotations
    assert np.array(annotation.segmentation[0]).reshape(-1).tolist() == outline
