"""Take a dataset from one format to another, image by image."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segcore.annotation import AnnotatedDataset, AnnotatedImage, Converter, Note
from segcore.checkpoint.files import prepare_output
from segcore.checkpoint.ownership import Guard, marked_by
from segcore.checkpoint.unfinished import filling, is_free, is_unfinished
from segcore.data.convert.classes import is_writable, plan_classes
from segcore.data.convert.image import Overlap, PlannedImage, class_lookup
from segcore.data.convert.report import REPORT_MARK, Conversion
from segcore.data.convert.source import image_size
from segcore.data.header import read_header
from segcore.data.paths import printable
from segcore.discovery.build import build_component
from segcore.discovery.names import one_line
from segcore.errors import (
    DataError,
    OutputError,
    PluginBrokenError,
    RequestError,
    SegcoreError,
)
from segcore.filesystem import is_folder, real_path

if TYPE_CHECKING:
    from segcore.discovery.catalogue import Catalogue, Entry
    from segcore.specs import ConverterSpec

__all__ = ["REPORT_NAME", "convert_dataset"]

REPORT_NAME = "convert_dataset_result.json"
_SUFFIXES = {
    "JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WebP": ".webp", "NPY": ".npy",
}  # fmt: skip
_MOST_BYTES = 250  # of a file name, with a suffix still to come


def convert_dataset(
    source: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - what it is called everywhere else
    classes: Sequence[str] | None = None,
    background: str | None = None,
    ignore_labels: Iterable[str] = (),
    overlap: Overlap = "last",
    read_options: Mapping[str, Any] | None = None,
    write_options: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    catalogue: Catalogue | None = None,
) -> Conversion:
    """Convert the dataset in the folder `source` to the format `to`, into the folder `output`.

    `format` is that of the source, found out where it is None. `classes` fixes the classes and
    their order, `background` names class 0, and the labels in `ignore_labels` become pixels to
    ignore (see `plan_classes`). Where shapes overlap, the `overlap` one wins. An `output` that
    holds something is refused unless `force`; files of the same names are then replaced. What
    cannot be used is left out and counted in the answer, which is also written beside the lists.

    Raises RequestError for what cannot be done, DataError when nothing can be used, and
    StorageError.
    """
    if catalogue is None:
        from segcore.discovery.catalogue import get_catalogue

        catalogue = get_catalogue()
    root, folder = Path(source), Path(output)
    reading = _find_reader(root, format, catalogue)
    writing = _find_writer(to, catalogue)
    reader: Converter = build_component(reading, read_options or {})
    writer_of: Converter = build_component(writing, write_options or {})
    _check_places(root, folder, force=force)
    guard = Guard([root], force=force)
    guard.check_file(folder / REPORT_NAME, marked_by(REPORT_MARK))
    with _boundary(reading, f"reading {root}"):
        dataset = reader.read(root)
    table = plan_classes(dataset.classes, classes, background, ignore_labels)
    report = Conversion(root, reading.name, folder, writing.name, table.classes)
    report.count_notes(dataset.notes)
    _check_names(dataset.names)
    lookup = class_lookup(dataset.classes.names, table)
    prepare_output(folder)
    with filling(folder, partial(_check_places, root, folder, force=force)):
        with _boundary(writing, f"writing {folder}"):
            writer = writer_of.write(folder, table.classes)
        for index in progress(range(len(dataset.names))):
            name = dataset.names[index]
            try:
                with _boundary(reading, f"reading {name}"):
                    image, suffix = _load(dataset, index)
                planned = PlannedImage(name, suffix, image, table, lookup=lookup, overlap=overlap)
                with _boundary(writing, f"writing {name}"):
                    notes = (*image.notes, *writer.add(planned))
            except DataError as error:
                report.count_notes([Note("skipped", "image", str(error))], name)
                continue
            report.count_notes(notes, name)
            report.count_image(planned, _labels(planned, image, table.index))
        if not report.written:
            reasons = "; ".join(line for line in list(report.lines())[2:5])
            raise DataError(f"{printable(root)}: no image can be used. {reasons or 'It is empty.'}")
        data = (json.dumps(report.as_json(), indent=2) + "\n").encode()
        guard.write_file(folder / REPORT_NAME, data, marked_by(REPORT_MARK))
        with _boundary(writing, f"writing {folder}"):
            writer.finish()
    return report


def _labels(
    planned: PlannedImage, image: AnnotatedImage, index: Mapping[str, int]
) -> Iterable[int]:
    """Give the class of each annotation: regions, objects that were written, or classes."""
    if image.class_map is None:
        return [index[region.label] for region in image.regions]
    if "objects" in vars(planned):  # the writer asked for them
        return [found.class_index for found in planned.objects]
    import numpy as np

    first = 1 if planned.has_background else 0  # background is everywhere, and IGNORED below 0
    return [int(value) for value in np.unique(planned.class_map) if value >= first]


@contextlib.contextmanager
def _boundary(entry: Entry[ConverterSpec], doing: str) -> Iterator[None]:
    """Name the plugin whose code raises something of its own kind."""
    try:
        yield
    except (SegcoreError, MemoryError):
        raise
    # the plugin boundary: readers and writers are a stranger's code
    except Exception as error:
        if entry.is_builtin:
            raise
        raise PluginBrokenError(
            f"{entry.plugin.found.label}: {printable(doing)} raised {type(error).__name__}: "
            f"{one_line(error)}; report it to its authors"
        ) from error


def _load(dataset: AnnotatedDataset, index: int) -> tuple[AnnotatedImage, str]:
    """Read an image, and check that its annotations lie in it, whoever read them."""
    image, name = dataset.load(index), dataset.names[index]
    width, height = image_size(image.data, name)
    if (image.width, image.height) != (width, height):
        raise DataError(
            f"its annotations are for {image.width} x {image.height} pixels, but the image has "
            f"{width} x {height}"
        )
    for region in image.regions:
        bottom, right = region.top + region.mask.shape[0], region.left + region.mask.shape[1]
        if min(region.left, region.top) < 0 or right > width or bottom > height:
            raise DataError(f"a region of {printable(region.label)!r} reaches out of the image")
    if image.class_map is not None and image.class_map.shape != (height, width):
        raise DataError(f"its class map is not {width} x {height} pixels")
    return image, _SUFFIXES[read_header(image.data, printable(name)).format]


def _find_reader(root: Path, name: str | None, catalogue: Catalogue) -> Entry[ConverterSpec]:
    if not is_folder(root):
        raise DataError(f"{printable(root)}: there is no such folder. Give that of the dataset.")
    if name is not None:
        entry = catalogue.converters.find(name)
        if not entry.spec.reads:
            readable = ", ".join(e.name for e in catalogue.converters if e.spec.reads)
            raise RequestError(f"{entry.name} can be written, not read. To be read: {readable}.")
        return entry
    readers = [entry for entry in catalogue.converters if entry.spec.reads]
    found = [entry for entry in readers if _is_detected(entry, root)]
    if len(found) != 1:
        names = ", ".join(entry.name for entry in found or readers)
        what = "could be any of these" if found else "is of no format that is known"
        raise DataError(f"{printable(root)}: {what}: {names}. Say which with --from.")
    return found[0]


def _is_detected(entry: Entry[ConverterSpec], root: Path) -> bool:
    """Ask a format whether `root` is one of its; one that fails at it is left out, with a line."""
    try:
        with _boundary(entry, "looking at the folder"):
            return bool(build_component(entry, {}).detects(root))
    except PluginBrokenError as error:
        logging.getLogger("segcore").warning("%s", error)
        return False


def _find_writer(name: str, catalogue: Catalogue) -> Entry[ConverterSpec]:
    entry = catalogue.converters.find(name)
    if not entry.spec.writes:
        writable = ", ".join(e.name for e in catalogue.converters if e.spec.writes)
        raise RequestError(f"{entry.name} can be read, not written. To be written: {writable}.")
    return entry


def _check_places(root: Path, output: Path, *, force: bool) -> None:
    inner, outer = real_path(output), real_path(root)
    if inner == outer or outer in inner.parents:
        raise OutputError(
            f"{printable(output)}: is inside the dataset that is converted, where it would be "
            "taken for a part of it. Name a folder outside."
        )
    if inner in outer.parents:
        raise OutputError(
            f"{printable(output)}: holds the dataset that is converted, among whose files its own "
            "could come to lie. Name a folder beside it."
        )
    if not (force or is_free(output) or is_unfinished(output)):
        raise OutputError(
            f"{printable(output)}: is not empty. Name another folder, or add --force to replace "
            "the files of an earlier conversion."
        )


def _check_names(names: Sequence[str]) -> None:
    """Refuse names that leave the folder or are one on some file system, before any work."""
    seen: dict[str, str] = {}
    clashes: list[str] = []
    for name in names:
        parts = name.split("/")
        is_path = "\0" not in name and is_writable(name)
        if not is_path or any(part in ("", ".", "..") for part in parts):
            raise DataError(f"{printable(name)}: no name for a file inside the output folder.")
        if max(len(os.fsencode(part)) for part in parts) > _MOST_BYTES:
            raise DataError(f"{printable(name)}: longer than {_MOST_BYTES} bytes. Rename the file.")
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            clashes.append(f"{printable(seen[key])} and {printable(name)}")
        seen[key] = name
    if clashes:
        shown = "; ".join(clashes[:20])
        raise DataError(
            f"{len(clashes)} images would get the name of another (suffixes and case do not "
            f"count): {shown}. Rename them."
        )
