"""The digest of a dataset's content: what changes it, what does not, and when files are read."""

import json
import os
import shutil

import pytest

from segcore.data import content
from segcore.data.cocodataset import CocoDataset
from segcore.data.content import content_digest
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and files that count as settled at once."""
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "_SETTLED_S", -3600)
    return tmp_path / "cache" / "contents"


@pytest.fixture
def data(shapes, tmp_path):
    """A copy of a small SegDataset."""
    return shutil.copytree(shapes, tmp_path / "data")


@pytest.fixture
def reads(monkeypatch):
    """The paths of the files that are read."""
    paths = []
    original = content._digest_file
    monkeypatch.setattr(content, "_digest_file", lambda path: paths.append(path) or original(path))
    return paths


def exchange_bytes(path):
    """Change a file, and leave it its size and its time of modification."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("folder", ["images", "annotations"])
def test_other_bytes_of_the_same_size_and_time_are_other_data(data, folder):
    before = content_digest(SegDataset(data, "val"))
    row = (data / "val.txt").read_text().split()
    exchange_bytes(data / row[("images", "annotations").index(folder)])
    assert content_digest(SegDataset(data, "val")) != before


def test_labels_that_change_places_are_other_data(data):
    before = content_digest(SegDataset(data, "val"))
    row = (data / "val.txt").read_text().split()
    first, second = data / row[1], data / row[3]
    first.rename(data / "aside")
    second.rename(first)
    (data / "aside").rename(second)
    assert content_digest(SegDataset(data, "val")) != before


def test_a_copy_elsewhere_is_the_same_data(data, tmp_path):
    copy = shutil.copytree(data, tmp_path / "copy", copy_function=shutil.copy)
    assert content_digest(SegDataset(copy, "train")) == content_digest(SegDataset(data, "train"))


def test_images_of_a_coco_dataset_count(objects, tmp_path):
    data = shutil.copytree(objects, tmp_path / "objects")
    before = content_digest(CocoDataset(data, "val"))
    exchange_bytes(next(iter(map(data.joinpath, CocoDataset(data, "val").content_files()))))
    assert content_digest(CocoDataset(data, "val")) != before


def test_files_are_read_once_while_nothing_changes(data, reads):
    dataset = SegDataset(data, "val")
    first = content_digest(dataset)
    assert len(reads) == 2 * len(dataset)
    assert content_digest(SegDataset(data, "val")) == first
    assert len(reads) == 2 * len(dataset)


def test_files_that_changed_only_now_are_read_again(data, reads, monkeypatch):
    monkeypatch.setattr(content, "_SETTLED_S", 3600)
    for _ in range(2):
        content_digest(SegDataset(data, "val"))
    assert len(reads) == 2 * 2 * len(SegDataset(data, "val"))


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"sha256": 3}', b"{"])
def test_a_damaged_note_is_passed_over(data, cache, damage):
    first = content_digest(SegDataset(data, "val"))
    (note,) = cache.iterdir()
    note.write_bytes(damage)
    assert content_digest(SegDataset(data, "val")) == first


def test_a_flipped_bit_in_a_note_is_noticed(data, cache):
    first = content_digest(SegDataset(data, "val"))
    (note,) = cache.iterdir()
    kept = json.loads(note.read_text())
    kept["sha256"] = ("1" if first[0] == "0" else "0") + first[1:]
    note.write_text(json.dumps(kept))
    assert content_digest(SegDataset(data, "val")) == first


def test_without_a_place_for_notes_files_are_read_again(data, monkeypatch, tmp_path, reads):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "file"))
    assert content_digest(SegDataset(data, "val")) == content_digest(SegDataset(data, "val"))
    assert len(reads) == 4 * len(SegDataset(data, "val"))


def test_a_file_that_went_away_is_named(data):
    dataset = SegDataset(data, "val")
    next(iter(map(data.joinpath, dataset.content_files()))).unlink()
    with pytest.raises(DataError, match=r"images/.*cannot be read"):
        content_digest(dataset)


def test_datasets_that_name_no_files_have_no_digest():
    assert content_digest(object()) is None
