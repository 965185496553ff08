"""Everything that a check of a dataset can find: stable codes, how bad each is, and its title.

Errors of reading carry the `name` of a kind (`DataError.kind`), so that what a training refuses
and what `segcore data check` reports are one rule. Codes are never given to another meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FINDING_KINDS", "FindingKind", "find_kind"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class FindingKind:
    """One thing that can be wrong: `name` is for programs here, `code` for everyone else."""

    code: str
    name: str
    severity: Severity
    title: str


def _error(code: str, name: str, title: str) -> FindingKind:
    return FindingKind(code, name, "error", title)


def _warning(code: str, name: str, title: str) -> FindingKind:
    return FindingKind(code, name, "warning", title)


FINDING_KINDS: tuple[FindingKind, ...] = (
    # lists, names and classes
    _error("SEG001", "list-missing", "a list of samples is missing"),
    _error("SEG002", "list-unreadable", "a list cannot be read as UTF-8 text"),
    _error("SEG003", "list-row", "a row of a list is not an image and its label"),
    _error("SEG004", "list-empty", "a list names no images"),
    _error("SEG005", "row-repeated", "an image is listed again"),
    _error("SEG006", "leaves-dataset", "a path leaves the dataset folder"),
    _error("SEG007", "file-missing", "a listed file does not exist"),
    _error("SEG008", "link-loop", "symbolic links form a loop"),
    _error("SEG009", "not-regular", "a listed file is a folder, a pipe, a socket or a device"),
    _error("SEG010", "file-unreadable", "a listed file cannot be opened"),
    _error("SEG011", "file-changed", "a file changed while it was in use"),
    _error("SEG012", "name-invalid", "a file name that no file can have"),
    _error("SEG013", "case-clash", "two names differ in upper and lower case only"),
    _error("SEG014", "name-reserved", "Windows cannot store a file of this name"),
    _error("SEG015", "classes-invalid", "labels.txt cannot be used"),
    _warning("SEG016", "classes-missing", "labels.txt is missing; classes are counted from labels"),
    _error("SEG017", "classes-disagree", "labels.txt and data.num_classes disagree"),
    _error("SEG018", "ignore-is-class", "the ignored value is the number of a class"),
    _error("SEG019", "unusable", "a sample cannot be used for another reason"),
    # between and within splits
    _error("SEG021", "split-same-file", "a file is in train and in another split"),
    _error("SEG022", "split-same-content", "the same picture is in train and in another split"),
    _warning("SEG023", "split-near-duplicate", "nearly the same picture is in train and elsewhere"),
    _warning("SEG024", "content-repeated", "the same picture is listed under several names"),
    # files, whether images or labels
    _error("SEG101", "empty-file", "a file is empty"),
    _error("SEG102", "not-image", "a file is no JPEG, PNG, BMP, TIFF or WebP image"),
    _error("SEG103", "truncated", "a file ends before its picture does"),
    _error("SEG104", "damaged", "a file is damaged"),
    _error("SEG105", "too-large", "a picture has more pixels than data.max_pixels"),
    _error("SEG106", "impossible-size", "a header claims an impossible size"),
    _error("SEG107", "unsupported", "a file is stored in a way that is not read"),
    # images
    _error("SEG111", "frames", "a file holds several frames"),
    _error("SEG112", "deep-undeclared", "an image deeper than 8 bits, without data.value_range"),
    _error("SEG113", "not-finite", "an image holds NaN or infinite values"),
    _error("SEG114", "channels", "an image has other channels than data.channels says"),
    _warning("SEG115", "small-image", "an image has a side of fewer than 16 pixels"),
    _warning("SEG116", "suffix", "a file name names another format than the content"),
    _warning("SEG117", "alpha", "an image has an alpha channel, which is dropped"),
    _warning("SEG118", "transparent", "an image has transparent pixels, whose colours are used"),
    _warning("SEG119", "cmyk", "an image is CMYK; it is converted without a colour profile"),
    _warning("SEG120", "decoder", "the decoder warns; the image may be damaged"),
    _warning("SEG121", "rotated-square", "a square image is turned by EXIF, its label maybe not"),
    _warning("SEG122", "truncated-tail", "an image lacks its last bytes"),
    _warning("SEG123", "multiplied", "an image has transparent pixels, multiplied by their alpha"),
    _warning("SEG124", "extra-channel", "an image has a channel beside RGB, which is dropped"),
    _warning("SEG125", "mask", "an image has a mask of valid pixels, which is not used"),
    # labels
    _error("SEG201", "label-lossy", "a label is a JPEG, which changes values"),
    _error("SEG202", "label-format", "a label is in a format that is none for labels"),
    _error("SEG203", "label-colours", "a label holds colours instead of class indices"),
    _error("SEG204", "label-alpha", "a label has an alpha channel"),
    _error("SEG205", "label-negative", "a label holds negative values"),
    _error("SEG206", "label-float", "a label holds fractions instead of whole numbers"),
    _error("SEG207", "label-value", "a label holds a value that is no class"),
    _error("SEG208", "label-mask", "labels hold only 0 and 255, and 255 is no class"),
    _warning("SEG209", "label-maybe-mask", "a label holds only 0 and 255, others have classes"),
    _error("SEG210", "label-antialiased", "a label has blended values along its edges"),
    _error("SEG211", "label-size", "a label and its image differ in size"),
    _error("SEG212", "label-exif", "an image is turned by EXIF, its label is not"),
    _error("SEG213", "label-orientation", "a label has an EXIF orientation of its own"),
    _warning("SEG214", "label-deep", "a label has 16 bits where 8 would do"),
    _error("SEG215", "label-deep-value", "a 16-bit label holds values that are no classes"),
    _warning("SEG216", "label-palette", "a label has a palette; its indices are used"),
    _warning("SEG217", "label-empty", "a label is background only"),
    _warning("SEG218", "label-ignored", "a label ignores every pixel"),
    # classes over the whole dataset
    _warning("SEG301", "class-absent", "a class occurs in one split and not in another"),
    _warning("SEG302", "class-gap", "a class never occurs"),
    _warning("SEG303", "class-imbalance", "a class has a very small share of the pixels"),
    _warning("SEG304", "tiny-objects", "all that a label has of a class is a few pixels"),
    # COCO annotations
    _error("SEG401", "coco-invalid", "an annotation file is no COCO file"),
    _error("SEG402", "coco-malformed", "a record lacks a field, or has one of a wrong type"),
    _error("SEG403", "coco-duplicate-id", "an id is given twice"),
    _error("SEG404", "coco-few-points", "a polygon has fewer than 3 points"),
    _error("SEG405", "coco-not-finite", "a coordinate is NaN or infinite"),
    _error("SEG406", "coco-outside-image", "an object lies outside its image"),
    _warning("SEG407", "coco-over-edge", "an object reaches beyond its image; it is cut"),
    _error("SEG408", "coco-empty-rle", "an RLE mask has no pixel"),
    _error("SEG409", "coco-rle-size", "an RLE mask has another size than its image"),
    _error("SEG410", "coco-unknown-category", "an object has a category that does not exist"),
    _error("SEG411", "coco-unknown-image", "an object is on an image that does not exist"),
    _error("SEG412", "coco-no-segmentation", "an object has a box alone, without an outline"),
    _warning("SEG413", "coco-empty-box", "an object has no box of its own; its outline gives it"),
    _error("SEG414", "coco-image-size", "an image has another size than its record says"),
    _warning("SEG415", "coco-category-gap", "category ids are not consecutive"),
    _warning("SEG416", "coco-no-annotations", "an image has no objects"),
    _warning("SEG417", "coco-crowd", "an object is a crowd, which evaluation ignores"),
    _error("SEG418", "coco-categories", "the splits name different categories"),
    _error("SEG419", "coco-duplicate-file", "two image records name one file"),
)

_BY_NAME = {kind.name: kind for kind in FINDING_KINDS}


def find_kind(name: str) -> FindingKind:
    """Give the kind called `name`. Raises KeyError: names come from segcore itself."""
    return _BY_NAME[name]
