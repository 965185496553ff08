import shutil

import numpy as np
import pytest
from PIL import Image

from segcore.config.schema import Config, DataConfig, ModelConfig
from segcore.data.check import check_dataset, require_sound, require_sound_samples
from segcore.data.segdataset import SegDataset
from segcore.discovery.catalogue import get_catalogue
from segcore.errors import DataError, OutputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEGCORE_CACHE", str(folder))
    return folder / "checked"


@pytest.fixture
def data(shapes, tmp_path):
    return shutil.copytree(shapes, tmp_path / "data")


def label_of(data, row):
    return data / (data / "train.txt").read_text().splitlines()[row].split()[1]


def change_label(path, change):
    label = np.array(Image.open(path))
    Image.fromarray(change(label)).save(path)


def set_corner(label):
    label[0, :3] = 21
    return label


def require(data, **settings):
    config = Config(model=ModelConfig(name="any"), data=DataConfig(path=str(data), **settings))
    require_sound(config, ("train", "val"), get_catalogue())


def reading(monkeypatch):
    """Count how often a sample is looked at."""
    from segcore.data.inspection import segdataset

    seen = []
    look = segdataset.look_at
    monkeypatch.setattr(segdataset, "look_at", lambda *args: seen.append(1) or look(*args))
    return seen


def test_a_clean_dataset_has_no_findings(data):
    result = check_dataset(data)
    assert result.passed
    assert result.findings == ()


def test_the_start_of_a_training_names_the_file_and_its_line(data):
    change_label(label_of(data, 4), set_corner)
    with pytest.raises(DataError, match=r"SEG207 .*3 pixels have .*21.* \(train\.txt, line 5\)"):
        require(data)


def test_all_kinds_of_errors_are_told_at_once(data):
    change_label(label_of(data, 1), set_corner)
    change_label(label_of(data, 7), lambda label: label[:, :60])
    (data / "val.txt").write_text("images/nowhere.jpg annotations/nowhere.png\n")
    with pytest.raises(DataError, match="fails its check") as caught:
        require(data)
    assert [code in str(caught.value) for code in ("SEG007", "SEG207", "SEG211")] == [True] * 3


def test_a_passed_check_is_not_repeated(data, monkeypatch, cache):
    seen = reading(monkeypatch)
    require(data)
    assert len(seen) == 20
    assert len(list(cache.iterdir())) == 1
    require(data)
    assert len(seen) == 20


def test_a_check_on_the_command_line_counts_for_the_training(data, monkeypatch):
    check_dataset(data)
    seen = reading(monkeypatch)
    require(data)
    assert not seen


@pytest.mark.parametrize("change", ["label", "list", "classes", "setting"])
def test_a_change_makes_a_new_check(data, monkeypatch, change):
    require(data)
    seen = reading(monkeypatch)
    settings = {}
    if change == "label":
        change_label(label_of(data, 3), lambda label: np.where(label == 1, 2, label))
    elif change == "list":
        (data / "val.txt").write_text((data / "val.txt").read_text() + "# new\n")
    elif change == "classes":
        (data / "labels.txt").write_text((data / "labels.txt").read_text() + "more\n")
    else:
        settings["ignore_index"] = 254
    require(data, **settings)
    assert len(seen) == 20


def test_a_failed_check_is_not_remembered(data, cache):
    change_label(label_of(data, 4), set_corner)
    with pytest.raises(DataError):
        require(data)
    assert not cache.exists()
    with pytest.raises(DataError):
        require(data)


def test_without_a_place_for_notes_every_check_reads(data, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "file" / "cache"))
    seen = reading(monkeypatch)
    require(data)
    require(data)
    assert len(seen) == 40


def test_samples_given_as_objects_are_checked_one_by_one(data):
    change_label(label_of(data, 4), set_corner)
    with pytest.raises(DataError, match=r"SEG207.*3 pixels have .*21"):
        require_sound_samples({"train": SegDataset(data, "train")})


def test_objects_that_cannot_check_are_taken_as_they_are():
    class Plain(list):
        class_names = ("no", "check")

    require_sound_samples({"train": Plain("here")})


class Folder:
    """A layout of a plugin: a dataset checks its own samples, and nothing else is known of it."""

    def detects(self, root):
        return True

    def open(self, root, split, config):
        return Numbers(root / split)


class Numbers(list):
    class_names = ("even", "odd")

    def __init__(self, path):
        if not path.is_file():
            raise DataError(f"{path.name}: is missing")
        super().__init__(path.read_text().split())

    def describe(self, index):
        return f"number {index}"

    def check(self, index):
        if not self[index].isdecimal():
            raise DataError(f"{self[index]}: is no number")


@pytest.mark.parametrize("name", ["good example.png", "kept/histogram.png", "demo_img/a/b.png"])
def test_copies_of_pictures_among_those_of_a_check_stay(data, name):
    check_dataset(data, output=data)
    copy = data / "check_dataset" / name
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(data / "check_dataset/histogram.png", copy)
    with pytest.raises(OutputError, match=f"holds {name}"):
        check_dataset(data, output=data)
    assert copy.exists()


def test_layouts_of_plugins_are_checked_sample_by_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("segcore.data.dataset.find_format", lambda *_: Folder())
    (tmp_path / "train").write_text("1 2 x y")
    result = check_dataset(tmp_path, output=tmp_path / "out")
    assert [(f.code, f.split, f.file, f.count) for f in result.findings] == [
        ("SEG019", "val", "val", 1),
        ("SEG019", "train", "number 2", 2),
    ]
    assert (tmp_path / "out" / "check_dataset" / "histogram.png").is_file()
