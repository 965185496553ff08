"""What a split divides: the samples of a dataset, wherever they are listed, and how lists look.

Each source knows the names of its images, the classes that each of them shows, and the files that
its lists are. `find_source` tells which one a folder is.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from segcore.data.coco import coco_name, load_coco_json
from segcore.data.label import MOST_CLASSES, check_label_values, decode_label
from segcore.data.listfile import format_row, list_name, read_class_list, read_rows
from segcore.data.paths import inside, printable, read_file
from segcore.data.pool import map_in_threads
from segcore.errors import DataError, ListFileError
from segcore.filesystem import is_file, is_folder, list_names, walk
from segcore.integer_key import is_integer_key

__all__ = [
    "CocoSource",
    "ListSource",
    "Progress",
    "Source",
    "find_source",
    "has_coco_files",
    "list_files",
]

_SPLITS = ("train", "val", "test")
_FOLD_LIST = re.compile(r"(?:train|val)_fold\d+\.txt\Z")
_FOLD_FILE = re.compile(r"instance_(?:train|val)_fold\d+\.json\Z")
_IMAGES = {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_LABELS = {".png", ".bmp", ".tif", ".tiff"}
_SHOWN = 5

_Item = TypeVar("_Item")


class Progress(Protocol):
    """Look on while something is worked through: wrap what is iterated, as tqdm does."""

    def __call__(self, items: Iterable[_Item], /, *, total: int) -> Iterable[_Item]:
        """Give `items` again."""
        ...


class Source(Protocol):
    """The samples to divide. Samples are counted from 0."""

    folder: Path
    """Where the lists are."""
    images: list[str]
    """The name of each image, relative to the dataset; no name occurs twice."""
    notes: list[str]
    """What the user should know about the samples."""
    counts: dict[str, int]
    """How many samples come from where, such as `train.txt`."""

    def list_name(self, split: str, fold: int | None) -> str:
        """Name the file of a list."""
        ...

    def old_lists(self) -> list[str]:
        """Name the lists that a new split makes obsolete."""
        ...

    def write(self, samples: Sequence[int]) -> bytes:
        """Give the content of a list of these samples."""
        ...

    def classes(self, ignore_index: int, progress: Progress) -> tuple[list[str], np.ndarray]:
        """Give the names of the classes, and (N, C) bool: which sample shows which class."""
        ...


def find_source(root: Path, *, keep_test: bool = False, rescan: bool = False) -> Source:
    """Find the samples of the dataset in `root`.

    These are the rows of its lists; without lists, or with `rescan`, the images that have a label
    of the same name; or else the images of its COCO files. With `keep_test` the images of the test
    list are left out. Raises DataError.
    """
    if not is_folder(root):
        raise DataError(f"{printable(root)}: no such folder. Give the folder of the dataset.")
    lists = [name for name in list_files(root) if not _FOLD_LIST.match(name)]
    if not lists and has_coco_files(root):
        if rescan:
            raise DataError(
                f"{printable(root)}: a COCO dataset; what its files do not list has no label."
            )
        return CocoSource(root, keep_test=keep_test)
    if lists == ["test.txt"] and keep_test:
        lists = []
    return ListSource(root, [] if rescan else lists, keep_test=keep_test)


class ListSource:
    """The rows of train.txt, val.txt and test.txt, or pairs of files in both folders."""

    def __init__(self, root: Path, lists: Sequence[str], *, keep_test: bool = False) -> None:
        self.folder = root
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        self._keep_test = keep_test
        labels: dict[str, str] = {}
        if lists:
            self._read_lists(labels, lists)
        elif is_folder(root / "images") and is_folder(root / "annotations"):
            self._pair_files(labels)
        else:
            raise DataError(
                f"{printable(root)}: has neither lists (train.txt, val.txt) nor folders images/ "
                "and annotations/ with files of the same names."
            )
        if keep_test:
            self._leave_out_test(labels)
        self.images = sorted(labels)
        self._labels = [labels[name] for name in self.images]

    def list_name(self, split: str, fold: int | None) -> str:
        return list_name(split, fold)

    def old_lists(self) -> list[str]:
        names = list_files(self.folder)
        return [name for name in names if not (self._keep_test and name == "test.txt")]

    def write(self, samples: Sequence[int]) -> bytes:
        lines = [f"{format_row(self.images[i], self._labels[i])}\n" for i in samples]
        return "".join(lines).encode("utf-8", "surrogateescape")

    def classes(self, ignore_index: int, progress: Progress) -> tuple[list[str], np.ndarray]:
        found = list(progress(map_in_threads(self._values, self._labels), total=len(self._labels)))
        values = sorted({value for present in found for value in present} - {ignore_index})
        shows = np.array([[value in present for value in values] for present in found], bool)
        return self._class_names(values), shows.reshape(len(found), len(values))

    def _values(self, name: str) -> set[int]:
        shown = printable(name)
        label = decode_label(read_file(inside(self.folder, name), shown), shown)
        check_label_values(label, shown, MOST_CLASSES)
        return set(np.flatnonzero(np.bincount(label.ravel())).tolist())

    def _class_names(self, values: Sequence[int]) -> list[str]:
        path = self.folder / "labels.txt"
        names = read_class_list(path).names if is_file(path) else ()
        return [names[v] if v < len(names) else f"value {v}" for v in values]

    def _read_lists(self, labels: dict[str, str], lists: Sequence[str]) -> None:
        repeated = 0
        for name in lists:
            if self._keep_test and name == "test.txt":
                continue
            path = self.folder / name
            before = len(labels)
            for row in read_rows(path):
                label = labels.setdefault(row.image, row.label)
                if label != row.label:
                    raise ListFileError(
                        f"{printable(path)}, line {row.line}: {printable(row.image)} has the label "
                        f"{printable(row.label)} here and {printable(label)} in another row. Keep "
                        "the right one of the two."
                    )
                repeated += 1
            self.counts[name] = len(labels) - before
        repeated -= len(labels)
        if repeated:
            self.notes.append(f"{repeated} rows repeat others and count once")

    def _pair_files(self, labels: dict[str, str]) -> None:
        images = _by_stem(self.folder / "images", _IMAGES)
        annotations = _by_stem(self.folder / "annotations", _LABELS)
        labels.update((images[stem], annotations[stem]) for stem in images.keys() & annotations)
        self.counts["images/ and annotations/"] = len(labels)
        for what, lonely in (
            ("images have no label of their name", images.keys() - annotations),
            ("labels have no image of their name", annotations.keys() - images),
        ):
            if lonely:
                names = [{**annotations, **images}[stem] for stem in sorted(lonely)]
                self.notes.append(f"{len(names)} {what} and are left out: {_first(names)}")

    def _leave_out_test(self, labels: dict[str, str]) -> None:
        path = self.folder / "test.txt"
        if not is_file(path):
            raise DataError(
                f"{printable(path)}: no such file, so there is no test list to keep. Give the test "
                "list a share (--test 10), or leave --keep-test out."
            )
        held = sum(labels.pop(row.image, None) is not None for row in read_rows(path))
        if held:
            self.notes.append(f"{held} images are in test.txt and stay there")


class CocoSource:
    """The images of COCO files in annotations/: instance_train.json and the like, or a single one.

    Records are handed on as they are; only where the files use one id for two things, all ids are
    given anew.
    """

    def __init__(self, root: Path, *, keep_test: bool = False) -> None:
        self.folder = root / "annotations"
        self.notes: list[str] = []
        self.counts: dict[str, int] = {}
        self._keep_test = keep_test
        contents = {name: self._load(name) for name in self._input_files()}
        self._rest = _merge_rest(contents)
        records = _merge_records(contents, self.notes)
        self.images = sorted(records)
        self._records = [records[name] for name in self.images]
        self.counts = {name: len(content["images"]) for name, content in contents.items()}

    def list_name(self, split: str, fold: int | None) -> str:
        return coco_name(split, fold)

    def old_lists(self) -> list[str]:
        names = self._all_files()
        return [name for name in names if not (self._keep_test and name == "instance_test.json")]

    def write(self, samples: Sequence[int]) -> bytes:
        content = dict(self._rest)
        content["images"] = [self._records[i][0] for i in samples]
        content["annotations"] = [object_ for i in samples for object_ in self._records[i][1]]
        return json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()

    def classes(
        self,
        ignore_index: int,  # noqa: ARG002 - COCO leaves unlabelled what is to be ignored
        progress: Progress,
    ) -> tuple[list[str], np.ndarray]:
        ids = {category["id"]: place for place, category in enumerate(self._rest["categories"])}
        shows = np.zeros((len(self.images), len(ids)), bool)
        for sample, (_, objects) in progress(enumerate(self._records), total=len(self._records)):
            for object_ in objects:
                number = object_.get("category_id")
                if _is_key(number) and number in ids:
                    shows[sample, ids[number]] = True
        return [str(category.get("name")) for category in self._rest["categories"]], shows

    def _all_files(self) -> list[str]:
        named = [self.list_name(split, None) for split in _SPLITS]
        return [name for name in list_names(self.folder) if name in named or _FOLD_FILE.match(name)]

    def _input_files(self) -> list[str]:
        named = [name for name in self._all_files() if not _FOLD_FILE.match(name)]
        if self._keep_test:
            if "instance_test.json" not in named:
                raise DataError(
                    f"{printable(self.folder)}: has no instance_test.json to keep. Give the test "
                    "list a share (--test 10), or leave --keep-test out."
                )
            named.remove("instance_test.json")
        found = named or sorted(
            name
            for name in coco_files(self.folder)
            if not _FOLD_FILE.match(name) and name != "instance_test.json"
        )
        if not named and len(found) != 1:
            names = ", ".join(map(printable, found)) or "no file"
            raise DataError(
                f"{printable(self.folder)}: which of these is to be split, {names}? "
                "Call it instance_train.json."
            )
        return found

    def _load(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        content = load_coco_json(path, printable(path))
        for section, keys in (("images", ("id", "file_name")), ("annotations", ("id", "image_id"))):
            for position, record in enumerate(content[section]):
                if not isinstance(record, dict) or not all(_is_key(record.get(k)) for k in keys):
                    raise DataError(
                        f"{printable(path)}: {section}[{position}] lacks {' or '.join(keys)}. "
                        "segcore data check names all such records."
                    )
        for position, record in enumerate(content["categories"]):
            if not isinstance(record, dict) or not _is_key(record.get("id")):
                raise DataError(f"{printable(path)}: categories[{position}] lacks id.")
        return content


_Records = dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]


def _is_key(value: object) -> bool:
    return isinstance(value, str) or is_integer_key(value)


def _merge_rest(contents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Give all but images and annotations: the first file's, and the categories of all."""
    rest: dict[str, Any] = {}
    categories: dict[Any, Any] = {}
    for name, content in contents.items():
        for category in content["categories"]:
            known = categories.setdefault(category["id"], category)
            if known.get("name") != category.get("name"):
                raise DataError(
                    f"{printable(name)}: category {category['id']!r} is "
                    f"{reprlib.repr(category.get('name'))} here and "
                    f"{reprlib.repr(known.get('name'))} in another file. Give both one meaning."
                )
        for key, value in content.items():
            rest.setdefault(key, value)
    return {**rest, "categories": list(categories.values())}


def _merge_records(contents: Mapping[str, dict[str, Any]], notes: list[str]) -> _Records:
    """Give the record of each image with those of its objects, by file name."""
    anew = (
        any(
            len({record["id"] for content in contents.values() for record in content[section]})
            < sum(len(content[section]) for content in contents.values())
            for section in ("images", "annotations")
        )
        and len(contents) > 1
    )
    merged: _Records = {}
    objects = 0
    for name, content in contents.items():
        by_id: dict[Any, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        for image in content["images"]:
            file = str(image["file_name"])
            if file in merged or image["id"] in by_id:
                raise DataError(
                    f"{printable(name)}: image {image['id']!r} ({printable(file)}) is listed "
                    "twice. Keep one of the two records."
                )
            number = {"id": len(merged) + 1} if anew else {}
            merged[file] = by_id[image["id"]] = ({**image, **number}, [])
        for object_ in content["annotations"]:
            if object_["image_id"] not in by_id:
                raise DataError(
                    f"{printable(name)}: annotation {object_['id']!r} is of image "
                    f"{object_['image_id']!r}, which is not listed. Remove it, or list the image."
                )
            objects += 1
            image, own = by_id[object_["image_id"]]
            own.append({**object_, "id": objects, "image_id": image["id"]} if anew else object_)
    if anew:
        notes.append("the files used the same ids, so images and objects have new ones")
    return merged


def coco_files(folder: Path) -> list[str]:
    """Name the files in `folder` that are called as COCO files of instances are."""
    names = list_names(folder)
    return [name for name in names if name.startswith("instance") and name.endswith(".json")]


def has_coco_files(root: Path) -> bool:
    """Say whether the dataset in `root` has annotation files of COCO."""
    return bool(coco_files(root / "annotations"))


def list_files(root: Path) -> list[str]:
    """Name the lists in `root`, those of folds last."""
    names = [f"{split}.txt" for split in _SPLITS if is_file(root / f"{split}.txt")]
    folds = [name for name in list_names(root) if _FOLD_LIST.match(name)]
    return names + folds


def _by_stem(folder: Path, suffixes: set[str]) -> dict[str, str]:
    """Give the files below `folder`, relative to its parent, by their names without suffix."""
    found: dict[str, str] = {}
    for current, folders, files in walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(current, name)
            if name.startswith(".") or path.suffix.lower() not in suffixes:
                continue
            stem = str(path.relative_to(folder).with_suffix(""))
            full = str(path.relative_to(folder.parent))
            if found.setdefault(stem, full) != full:
                raise DataError(
                    f"{printable(full)} and {printable(found[stem])} have one name. Rename one of "
                    "them, and its counterpart."
                )
    return found


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more
