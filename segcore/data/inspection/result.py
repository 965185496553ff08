"""What a check of a dataset comes to, in the files and under the keys that PaddleX gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segcore.checkpoint.files import (
    DISK,
    make_folders,
    prepare_output,
    temporary_name,
    write_atomic,
)
from segcore.checkpoint.lock import folder_lock
from segcore.checkpoint.ownership import Guard, all_marked, encode_picture, marked, marked_by
from segcore.data.finding import Finding
from segcore.data.inspection.baseline import Baseline
from segcore.data.inspection.census import Census, SplitCensus, View
from segcore.data.inspection.histogram import draw_histogram
from segcore.data.paths import printable
from segcore.errors import DataError

__all__ = ["RESULT_FILE", "RESULT_FOLDER", "CheckResult", "check_place"]

RESULT_FILE = "check_dataset_result.json"
RESULT_FOLDER = "check_dataset"

_MARK = "segcore data check"
_LARGEST_SIDE = 1280  # pixels; pictures of larger images are scaled
_UNSAFE = re.compile(r"[^\w.,+ -]", re.ASCII)
_find_stranger = all_marked(_MARK, re.compile(r"histogram\.png|demo_img/[^/]+"))


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What a check found and counted in the dataset at `path`.

    `accepted` is the number of findings that a baseline took out. `seen` holds all findings, to
    write a baseline of, where that was asked for, and is empty otherwise.
    """

    path: str
    census: Census
    findings: tuple[Finding, ...]
    accepted: int = 0
    seen: Baseline

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings for which a training is refused."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(finding for finding in self.findings if finding.severity != "error")

    @property
    def passed(self) -> bool:
        """Say whether there is no error."""
        return not self.errors

    def as_json(self) -> dict[str, Any]:
        """Give what check_dataset_result.json holds, without the pictures that `save` draws."""
        return self._document({split.name: [] for split in self.census.splits}, {})

    def save(self, output: Path | str, *, force: bool = False) -> dict[str, Any]:
        """Write check_dataset_result.json and check_dataset/ into the folder `output`.

        Gives the content of the former, of which `force` replaces one of somebody else. Raises
        OutputError and StorageError; what was there before is then still there.
        """
        output = Path(output)
        # the dataset, where the result may lie, has nothing else of that name
        guard = Guard(force=force)
        check_place(output, force=force)
        prepare_output(output)
        # the old file would describe the new pictures if this were stopped in between
        building = output / temporary_name(RESULT_FOLDER)
        try:
            document = self._draw(building)
            data = json.dumps(document, indent=2).encode()
            with folder_lock(output):  # the file and the pictures are of one check
                guard.replace_folder(building, output / RESULT_FOLDER, _find_stranger)
                guard.write_file(output / RESULT_FILE, data, marked_by(_MARK))
        finally:
            DISK.remove_tree(building)
        return document

    def _draw(self, building: Path) -> dict[str, Any]:
        """Write the pictures into the folder `building`; give the document that names them."""
        make_folders(building / "demo_img")
        taken: set[str] = set()
        pictures = {
            split.name: _draw_views(split, building / "demo_img", taken)
            for split in self.census.splits
        }
        histogram = encode_picture(draw_histogram(self.census), "PNG", _MARK, optimize=True)
        write_atomic(building / "histogram.png", histogram)
        return self._document(pictures, {"histogram": f"{RESULT_FOLDER}/histogram.png"})

    def _document(self, pictures: dict[str, list[str]], analysis: dict[str, str]) -> dict[str, Any]:
        attributes: dict[str, Any] = {"num_classes": len(self.census.class_names)}
        for split in self.census.splits:
            attributes[f"{split.name}_samples"] = split.samples
            attributes[f"{split.name}_sample_paths"] = pictures[split.name]
        content = {
            "done_flag": True,
            "check_pass": self.passed,
            "attributes": attributes,
            "analysis": analysis,
            "dataset_path": printable(self.path),
            "show_type": "image",
            "dataset_type": self.census.dataset_type,
            "findings": [finding.as_json() for finding in self.findings],
            "accepted": self.accepted,
        }
        return marked(content, _MARK)


def check_place(output: Path, *, force: bool = False) -> None:
    """Raise OutputError unless a result may be written into the folder `output`."""
    guard = Guard(force=force)
    guard.check_folder(output / RESULT_FOLDER, _find_stranger)
    guard.check_file(output / RESULT_FILE, marked_by(_MARK))


def _draw_views(split: SplitCensus, folder: Path, taken: set[str]) -> list[str]:
    """Draw the samples of a split that are to be shown, and give their paths in the result."""
    paths = []
    for view in split.views:
        name = _file_name(view, split.name, taken)
        try:
            picture = _shrink(view.draw())
        except DataError:
            continue  # it changed since it was looked at; a next check will say so
        write_atomic(folder / name, _encode(picture, name))
        paths.append(f"{RESULT_FOLDER}/demo_img/{name}")
    return paths


def _file_name(view: View, split: str, taken: set[str]) -> str:
    """Make a file name like that of the image, which every system can store, used once."""
    image = PurePosixPath(view.name)
    suffix = image.suffix.lower() if image.suffix.lower() in (".jpg", ".jpeg") else ".png"
    stem = _UNSAFE.sub("_", image.stem)[:100] or "image"
    names = [f"{stem}{suffix}", f"{split}_{stem}{suffix}"]
    names += [f"{split}_{stem}_{number}{suffix}" for number in range(2, 100)]
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def _shrink(picture: Any) -> Any:
    import cv2

    height, width = picture.shape[:2]
    factor = _LARGEST_SIDE / max(height, width)
    if factor >= 1:
        return picture
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _encode(picture: Any, name: str) -> bytes:
    from PIL import Image

    image = Image.fromarray(picture)
    if name.endswith(".png"):
        return encode_picture(image, "PNG", _MARK)
    return encode_picture(image, "JPEG", _MARK, quality=90)


def describe_findings(findings: Sequence[Finding]) -> list[str]:
    """Give a line or two for each finding, for people."""
    return [_describe(finding) for finding in findings]


def _describe(finding: Finding) -> str:
    places = list(filter(None, [finding.list or finding.split]))
    places += [f"line {finding.line}"] if finding.line is not None else []
    where = f" ({', '.join(places)})" if places else ""
    more = f" And {finding.count - 1} more." if finding.count > 1 else ""
    fix = f"\n    {finding.fix}" if finding.fix else ""
    return f"{finding.code} {finding.severity}: {finding.message}{where}{more}{fix}"
