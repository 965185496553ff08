"""Repair a dataset without loss: labels to plain indices, upright, lists to plain UTF-8.

What needs no decision is always repaired; what needs one (which class a colour or a value is, how
labels were drawn) is repaired as the owner says, and otherwise reported. Nothing is guessed, and
nothing that a repair would make worse is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segcore.checkpoint.files import DISK, Files
from segcore.checkpoint.lock import folder_lock
from segcore.config.schema import DataConfig
from segcore.data.decode import check_image, decode_image
from segcore.data.fix_target import CopyTarget, DryTarget, InPlaceTarget, Target, check_output
from segcore.data.header import read_header
from segcore.data.label_repair import Colour, LabelRules, Picture, repair_label
from segcore.data.list_repair import ListText, read_text
from segcore.data.listfile import Row, parse_class_list
from segcore.data.paths import printable, read_file
from segcore.data.pool import map_in_threads
from segcore.data.rowfile import RowFiles
from segcore.data.split_source import Progress, has_coco_files, list_files
from segcore.errors import DataError, ImageError, LabelError, RequestError
from segcore.filesystem import exists, is_file, is_folder

__all__ = ["REPAIRS", "Fix", "Refusal", "Repair", "fix_dataset"]

REPAIRS: Mapping[str, str] = {
    "label-palette": "labels with a palette are plain indices now",
    "label-colours": "labels of colours are indices now",
    "label-channels": "labels of three equal channels have one now",
    "label-alpha": "labels lost an alpha channel that hid nothing",
    "label-deep": "labels of 16 bits have 8 now, with the same values",
    "label-value": "labels have values replaced",
    "label-exif": "labels are turned as the EXIF orientation of their image says",
    "label-orientation": "labels lost an EXIF orientation of their own and fit their image",
    "image-exif": "images are stored upright, as PNG without EXIF data",
    "row-repeated": "rows that stood above already are gone",
    "split-same-file": "rows of files that an earlier list has are gone",
    "split-same-content": "rows of pictures that an earlier list has are gone",
    "list-form": "lists in another encoding or with other line ends are plain UTF-8 now",
}
"""What can be repaired, and how a report says it."""

_SPLITS = ("train.txt", "val.txt", "test.txt")
_EXAMPLES = 3


@dataclass(frozen=True)
class Repair:
    """What was done: its kind (see `REPAIRS`), to how many files or rows, and the first of them."""

    kind: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """A file that stays as it is, and why; `kind` is that of a finding, where it is one."""

    file: str
    kind: str | None
    message: str


@dataclass(frozen=True)
class Fix:
    """What a repair came to. `backup` is the folder with what was replaced in place."""

    root: str
    output: str | None
    backup: str | None
    samples: int
    repairs: tuple[Repair, ...]
    refusals: tuple[Refusal, ...]
    is_written: bool

    def as_json(self) -> dict[str, Any]:
        """Give the fields as JSON holds them."""
        return asdict(self)


def fix_dataset(
    root: Path | str,
    output: Path | str | None = None,
    *,
    in_place: bool = False,
    label_map: Mapping[int, int] | None = None,
    colours: Mapping[Colour, int] | None = None,
    labels_as_stored: bool = False,
    upright_images: bool = False,
    drop_leaks: bool = False,
    dry_run: bool = False,
    config: DataConfig | None = None,
    progress: Progress | None = None,
    files: Files = DISK,
) -> Fix:
    """Write the SegDataset in `root`, repaired, to `output`, or `in_place` with a backup.

    `label_map` replaces values, as `data.label_map` does on reading, and `colours` (or else those
    of labels.txt) gives the class of each RGB colour. A label drawn on the pixels of an image as
    stored is turned like the image where the sizes tell; `labels_as_stored` says it of those whose
    size does not tell, and their images are then stored upright, as `upright_images` asks for all.
    `drop_leaks` takes rows out of val.txt and test.txt whose picture an earlier list has.

    A second call finds nothing to do. Raises RequestError for a request that contradicts itself,
    DataError for lists that cannot be read, OutputError and StorageError.
    """
    root = Path(root)
    config = config or DataConfig()
    _check_request(output, in_place=in_place, dry_run=dry_run)
    if output is not None:
        check_output(root, Path(output))
    if in_place:
        _check_repeatable(label_map or {}, labels_as_stored=labels_as_stored)
    is_alone = in_place and not dry_run and is_folder(root)
    with folder_lock(root, says_so=True) if is_alone else contextlib.nullcontext():
        job = _Job(root, config, progress)
        rules = LabelRules(
            label_map or {}, colours or job.colours(), labels_as_stored, config.max_pixels
        )
        job.look_at_images()
        if drop_leaks:
            job.drop_leaks()
        target: Target
        if dry_run:
            target = DryTarget()
        elif output is not None:
            target = CopyTarget(root, Path(output), files)
        else:
            target = InPlaceTarget(root, files)
        try:
            job.repair_labels(rules, target)
            job.repair_images(target, upright_images=upright_images, as_stored=labels_as_stored)
            job.repair_lists(target)
            backup = target.finish()
        except BaseException:
            target.abandon()
            raise
        return Fix(
            root=printable(root),
            output=None if output is None else printable(output),
            backup=backup,
            samples=sum(len(text.rows) for text in job.lists if text.name in _SPLITS),
            repairs=tuple(
                Repair(kind, len(names), tuple(map(printable, names[:_EXAMPLES])))
                for kind, names in ((kind, job.done[kind]) for kind in REPAIRS)
                if names
            ),
            refusals=tuple(job.refusals),
            is_written=not dry_run,
        )


def _check_request(output: Path | str | None, *, in_place: bool, dry_run: bool) -> None:
    if output is not None and in_place:
        raise RequestError("give a folder to write to, or repair in place, not both")
    if output is None and not in_place and not dry_run:
        raise RequestError(
            "say where the repaired dataset goes: --output NEW_DIR for a copy, or --in-place, "
            "which keeps what it replaces in a folder fix.bak"
        )


def _check_repeatable(label_map: Mapping[int, int], *, labels_as_stored: bool) -> None:
    """Refuse what would go wrong in place when it is done twice, or goes on after a crash."""
    moved = [old for old, new in label_map.items() if label_map.get(new, new) != new]
    if moved:
        old = moved[0]
        raise RequestError(
            f"label map {old}={label_map[old]}, {label_map[old]}={label_map[label_map[old]]}: done "
            "twice, or cut short, this would move values on and on. Use --output NEW_DIR."
        )
    if labels_as_stored:
        raise RequestError(
            "labels as stored: cut short, this could turn a label twice. Use --output NEW_DIR."
        )


@dataclass
class _Image:
    """An image as far as labels and lists care; or why it cannot be read."""

    picture: Picture | None
    digest: str = ""
    error: DataError | None = None


@dataclass
class _Job:
    """The lists of a dataset, what is to change, and what was done and refused so far."""

    root: Path
    config: DataConfig
    progress: Progress | None
    done: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not is_folder(self.root):
            raise DataError(f"{printable(self.root)}: no such folder. Give that of the dataset.")
        self.files = RowFiles(self.root, self.config)
        self.lists = [ListText.read(self.files.read(n), n) for n in list_files(self.root)]
        if not self.lists and has_coco_files(self.root):
            raise DataError(
                f"{printable(self.root)}: a COCO dataset, and what is repaired are label images. "
                "Mend its records where they were made; segcore data check names them."
            )
        if not self.lists:
            raise DataError(
                f"{printable(self.root)}: has no lists, so nothing says which label belongs to "
                "which image. Make them with segcore data split."
            )
        self._dropped = {text.name: text.repeated() for text in self.lists}
        for text in self.lists:
            self.done["row-repeated"] += [
                f"{text.name}, line {n}" for n in self._dropped[text.name]
            ]
        self._images: dict[str, _Image] = {}
        self._renamed: dict[str, str] = {}
        self._turned: set[str] = set()  # labels that were turned as their image was

    def colours(self) -> dict[Colour, int]:
        """Give the class of each colour in labels.txt. Raises DataError when two share one."""
        path = self.root / "labels.txt"
        listed: tuple[Colour | None, ...] = ()
        if is_file(path):
            text, _ = read_text(self.files.read("labels.txt"), "labels.txt")
            listed = parse_class_list(text, "labels.txt").colours
        found: dict[Colour, int] = {}
        for value, colour in enumerate(listed):
            if colour is not None and found.setdefault(colour, value) != value:
                raise DataError(
                    f"{printable(path)}: classes {found[colour]} and {value} have the same colour "
                    f"{list(colour)}. Give each its own."
                )
        return found

    def _rows(self) -> Iterator[Row]:
        """Give the rows that are left."""
        for text in self.lists:
            dropped = self._dropped[text.name]
            yield from (row for row in text.rows if row.line not in dropped)

    def look_at_images(self) -> None:
        """Read the headers of all images."""
        names = list(dict.fromkeys(row.image for text in self.lists for row in text.rows))
        looked = map_in_threads(self._look_at, names)
        for name, image in zip(names, self._show(looked, len(names)), strict=True):
            self._images[name] = image

    def _look_at(self, name: str) -> _Image:
        shown = printable(name)
        try:
            data = self.files.read(name)
            check_image(data, shown, self.config)
            header = read_header(data, shown)
        except DataError as error:
            return _Image(None, error=error)
        picture = Picture((header.height, header.width), header.orientation)
        return _Image(picture, hashlib.sha256(data).hexdigest())

    def drop_leaks(self) -> None:
        """Drop rows from val and test whose file or picture an earlier list has."""
        paths: set[str] = set()
        digests: set[str] = set()
        for text in (text for name in _SPLITS for text in self.lists if text.name == name):
            own_paths, own_digests = set(), set()
            dropped = self._dropped[text.name]
            for row in text.rows:
                image = self._images[row.image]
                if image.error is not None or row.line in dropped:
                    continue
                path = self.files.path(row.image)
                own_paths.add(path)
                own_digests.add(image.digest)
                kind = "split-same-file" if path in paths else "split-same-content"
                if path in paths or image.digest in digests:
                    dropped.add(row.line)
                    self.done[kind].append(f"{row.image} ({text.name}, line {row.line})")
            if text.rows and len(dropped) == len(text.rows):
                raise RequestError(
                    f"{text.name}: all its pictures are in other lists, so nothing would be left. "
                    "Divide them anew with segcore data split."
                )
            paths |= own_paths
            digests |= own_digests

    def repair_labels(self, rules: LabelRules, target: Target) -> None:
        """Repair each label once, and give it to `target`."""
        images: dict[str, list[str]] = {}
        for row in self._rows():
            images.setdefault(row.label, []).append(row.image)

        def repair(name: str) -> tuple[bytes, tuple[str, ...]] | DataError:
            try:
                return self._repair_label(name, images[name], rules)
            except DataError as error:
                return error

        outcomes = map_in_threads(repair, images)
        for name, outcome in zip(images, self._show(outcomes, len(images)), strict=True):
            if isinstance(outcome, DataError):
                self._refuse(name, outcome)
                target.keep(name)
                continue
            data, done = outcome
            for kind in done:
                self.done[kind].append(name)
            if "label-exif" in done:
                self._turned.add(name)
            self._put(target, name, data if done else None)

    def _repair_label(
        self, name: str, images: Iterable[str], rules: LabelRules
    ) -> tuple[bytes, tuple[str, ...]]:
        shown = printable(name)
        found = [self._images[image] for image in dict.fromkeys(images)]
        pictures = {image.picture for image in found if image.picture is not None}
        if not pictures:
            return b"", ()  # what is wrong with its image will be said
        if len(pictures) > 1:
            raise LabelError(
                f"{shown}: belongs to several images, of different sizes or orientations. Give "
                "each image a label of its own."
            )
        data = self.files.read(name)
        label, done = repair_label(data, shown, pictures.pop(), rules)
        if not done:
            return b"", ()
        data = _encode_png(label, shown)
        self._check_name(name, data)
        return data, done

    def repair_images(self, target: Target, *, upright_images: bool, as_stored: bool) -> None:
        """Store images upright, where that is asked for, or a label was turned on a word alone."""
        on_word = {row.image for row in self._rows() if as_stored and row.label in self._turned}
        for name in dict.fromkeys(row.image for row in self._rows()):
            image = self._images[name]
            if image.picture is None or image.picture.orientation == 1:
                wanted = False
            else:
                wanted = upright_images or (name in on_word and image.picture.is_ambiguous)
            if image.error is not None:
                self._refuse(name, image.error)
            data = None
            if wanted:
                try:
                    data = self._upright(name)
                except DataError as error:
                    self._refuse(name, error)
                else:
                    self.done["image-exif"].append(name)
            self._put(target, name, data)

    def _upright(self, name: str) -> bytes:
        shown = printable(name)
        data = self.files.read(name)
        header = read_header(data, shown)
        if header.bits > 8 or header.has_alpha or header.layout not in ("grey", "rgb"):
            raise ImageError(
                f"{shown}: storing it upright as 8-bit RGB would lose what it has besides. Turn it "
                "with an image editor."
            )
        config = self.config.model_copy(update={"channels": 1 if header.layout == "grey" else 3})
        image, _ = decode_image(data, shown, config)
        data = _encode_png(image, shown)
        self._check_name(name, data)
        return data

    def _check_name(self, name: str, data: bytes) -> None:
        """Refuse to put a PNG where another file is; one that a repair left there is no other."""
        new = _png_name(name)
        path = self.root / new
        if new != name and exists(path) and read_file(path, new) != data:
            raise DataError(
                f"{printable(name)}: becomes {printable(new)}, which is there already. Rename one."
            )

    def repair_lists(self, target: Target) -> None:
        """Write the lists, and labels.txt, as plain text without what was dropped."""
        for text in self.lists:
            dropped = self._dropped[text.name]
            changed = bool(dropped) or not text.was_plain
            changed |= any(n in self._renamed for row in text.rows for n in (row.image, row.label))
            if not text.was_plain:
                self.done["list-form"].append(text.name)
            if changed:
                target.put(text.name, text.written(dropped, self._renamed))
            else:
                target.keep(text.name)
        if is_file(self.root / "labels.txt"):
            content, changed = read_text(self.files.read("labels.txt"), "labels.txt")
            if changed:
                self.done["list-form"].append("labels.txt")
                target.put("labels.txt", content.encode("utf-8", "surrogateescape"))
            else:
                target.keep("labels.txt")

    def _put(self, target: Target, name: str, data: bytes | None) -> None:
        """Store new content, as PNG under a name that says so, or keep the old one."""
        if data is None:
            target.keep(name)
            return
        new = _png_name(name)
        if new != name:
            if new in self._renamed.values():
                raise DataError(
                    f"{printable(name)}: becomes {printable(new)}, as another file does. Rename it."
                )
            self._renamed[name] = new
            target.move(name, new, data)
        else:
            target.put(name, data)

    def _refuse(self, name: str, error: DataError) -> None:
        self.refusals.append(Refusal(printable(name), error.kind, str(error)))

    def _show(self, items: Iterable[Any], total: int) -> Iterable[Any]:
        return items if self.progress is None else self.progress(items, total=total)


def _png_name(name: str) -> str:
    return name if name.lower().endswith(".png") else str(Path(name).with_suffix(".png"))


def _encode_png(pixels: np.ndarray, source: str) -> bytes:
    """Encode (H, W), or RGB (H, W, C), of 8 or 16 bits."""
    import cv2

    plain = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(".png", np.ascontiguousarray(plain))
    if not done:
        raise LabelError(f"{source}: OpenCV cannot encode {pixels.shape} {pixels.dtype} as PNG.")
    return bytes(data)
