"""Splits cover every image once, keep groups whole, and never lose a list."""

import errno
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segcore.config.schema import DataConfig
from segcore.data.cocodataset import CocoDataset
from segcore.data.demo import draw_dataset
from segcore.data.listfile import format_row, read_rows
from segcore.data.replacement import finish_list_replacement
from segcore.data.segdataset import SegDataset
from segcore.data.split import split_dataset
from segcore.data.stratify import deal_out, round_shares
from segcore.errors import DataError, ListFileError, RequestError, StorageError
from segcore.testing.faults import FailAt, KillAt, Recorder, run_forked

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def make(root, names, lists=("train",)):
    """Write pairs of files, listed in turn in each of `lists`."""
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = {name: [] for name in lists}
    for number, name in enumerate(names):
        label = np.zeros((4, 6), np.uint8)
        label[0, : number % 4] = number % 4
        Image.fromarray(label).save(root / f"annotations/{name}.png")
        Image.fromarray(label).convert("RGB").save(root / f"images/{name}.png")
        row = format_row(f"images/{name}.png", f"annotations/{name}.png")
        rows[lists[number % len(lists)]].append(f"{row}\n")
    for name, lines in rows.items():
        (root / f"{name}.txt").write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
    return root


def listed(root, name):
    return [(row.image, row.label) for row in read_rows(root / f"{name}.txt")]


def text_files(root):
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


@pytest.fixture
def root(tmp_path):
    return make(tmp_path / "set", [f"{n:02}" for n in range(20)], ("train", "val"))


def test_the_lists_share_all_rows_as_asked(root):
    before = {*listed(root, "train"), *listed(root, "val")}
    split = split_dataset(root, train=70, val=20, test=10)
    parts = [listed(root, name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [14, 4, 2]
    assert sorted(row for part in parts for row in part) == sorted(before)
    assert [(part.file, part.images) for part in split.lists] == [
        ("train.txt", 14), ("val.txt", 4), ("test.txt", 2)
    ]  # fmt: skip
    for name in ("train", "val", "test"):
        SegDataset(root, name, DataConfig(num_classes=4)).load(0)


def test_old_lists_become_backups_and_older_backups_stay(root):
    first = text_files(root)
    split_dataset(root, seed=1)
    second = text_files(root)
    (root / "val.txt.bak.1").write_text("mine")
    backups = split_dataset(root, seed=2).backups
    after = text_files(root)
    assert after["train.txt.bak"] == first["train.txt"]
    assert after["val.txt.bak"] == first["val.txt"]
    assert after["val.txt.bak.1"] == b"mine"
    # the two lists of one split end alike, although train.txt.bak.1 was free
    assert backups == {"train.txt": "train.txt.bak.2", "val.txt": "val.txt.bak.2"}
    assert after["train.txt.bak.2"] == second["train.txt"]
    assert after["train.txt"] != second["train.txt"]


def test_the_same_seed_gives_the_same_split_whatever_the_lists_were(root):
    split_dataset(root, seed=7, test=10, train=60, val=30)
    once = text_files(root)
    split_dataset(root, seed=8, test=50, train=25, val=25)
    split_dataset(root, seed=7, test=10, train=60, val=30)
    again = text_files(root)
    assert [again[f"{n}.txt"] for n in ("train", "val", "test")] == [
        once[f"{n}.txt"] for n in ("train", "val", "test")
    ]


@quick
@given(
    sizes=st.lists(st.integers(1, 6), min_size=3, max_size=40),
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=3),
    classes=st.integers(0, 4),
    seed=st.integers(0, 2**31),
)
def test_every_unit_has_one_part_and_no_part_is_empty(sizes, weights, classes, seed):
    rng = np.random.default_rng(seed)
    sizes = np.array(sizes)
    shown = rng.integers(0, sizes[:, None] + 1, (len(sizes), classes))
    shares = [weight / sum(weights) for weight in weights]
    parts = deal_out(sizes, shown, shares, np.random.default_rng(seed))
    assert set(parts.tolist()) == set(range(len(shares)))
    assert np.array_equal(parts, deal_out(sizes, shown, shares, np.random.default_rng(seed)))
    counts = np.bincount(parts, weights=sizes, minlength=len(shares))
    ideal = round_shares(int(sizes.sum()), shares)
    # a part is wrong by no more than a unit of the largest size for every other part
    assert abs(counts - ideal).max() <= sizes.max() * (len(shares) + 1)
    if (sizes == 1).all():
        assert counts.tolist() == ideal


@quick
@given(total=st.integers(3, 10**6), weights=st.lists(st.integers(0, 99), min_size=1, max_size=9))
def test_shares_are_rounded_to_the_total(total, weights):
    if sum(weights) == 0:
        return
    shares = [weight / sum(weights) for weight in weights]
    counts = round_shares(total, shares)
    assert sum(counts) == total
    positive = sum(share > 0 for share in shares)
    if total >= 2 * positive:
        assert all((count > 0) == (share > 0) for count, share in zip(counts, shares, strict=True))
    assert all(
        abs(count - total * share) <= positive for count, share in zip(counts, shares, strict=True)
    )


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    frames=st.lists(st.integers(1, 5), min_size=3, max_size=12),
    folds=st.sampled_from([None, 2, 3]),
    seed=st.integers(0, 99),
)
def test_frames_of_a_video_stay_together(tmp_path, frames, folds, seed):
    root = tmp_path / "videos"
    shutil.rmtree(root, ignore_errors=True)
    names = [f"v{video}_{frame}" for video, count in enumerate(frames) for frame in range(count)]
    make(root, names)
    before = sorted(listed(root, "train"))
    shares = {"folds": folds} if folds else {"train": 60, "val": 30, "test": 10}
    split = split_dataset(root, group_by=r"(v\d+)_", seed=seed, **shares)
    assert split.groups == len(frames)
    tested = listed(root, "test") if not folds else []
    for fold in range(folds) if folds else [None]:
        end = "" if fold is None else f"_fold{fold}"
        parts = [listed(root, f"train{end}"), listed(root, f"val{end}"), tested]
        assert sorted(row for part in parts for row in part) == before
        videos = [{re.search(r"v\d+", image)[0] for image, _ in part} for part in parts]
        assert sum(map(len, videos)) == len(set.union(*videos))
        assert videos[0]
        assert videos[1]


def test_each_image_is_validated_in_one_fold_and_trained_on_in_the_others(root):
    every = sorted({*listed(root, "train"), *listed(root, "val")})
    split_dataset(root, folds=3, test=10)
    tested = listed(root, "test")
    assert len(tested) == 2
    validated = [row for fold in range(3) for row in listed(root, f"val_fold{fold}")]
    assert sorted(validated + tested) == every
    for fold in range(3):
        rows = listed(root, f"train_fold{fold}") + listed(root, f"val_fold{fold}") + tested
        assert sorted(rows) == every
    assert listed(root, "train") == listed(root, "train_fold0")
    dataset = SegDataset(root, "val", DataConfig(num_classes=4, fold=2))
    assert len(dataset) == len(listed(root, "val_fold2"))
    assert "val_fold2.txt, line 1" in dataset.describe(0)


def test_lists_of_folds_that_no_longer_exist_are_put_away(root):
    split_dataset(root, folds=3)
    split_dataset(root, folds=2)
    assert not (root / "train_fold2.txt").exists()
    assert (root / "train_fold2.txt.bak.1").exists()


def test_stratified_lists_get_their_share_of_a_rare_class(tmp_path):
    rng = np.random.default_rng(3)
    classes = np.zeros((200, 3), np.int64)
    classes[:, 0] = 1
    classes[rng.permutation(200)[:10], 1] = 1
    classes[rng.permutation(200)[:60], 2] = 1
    for seed in range(20):
        parts = deal_out(
            np.ones(200, np.int64), classes, [0.8, 0.1, 0.1], np.random.default_rng(seed)
        )
        assert np.bincount(parts).tolist() == [160, 20, 20]
        assert [int(classes[parts == part, 1].sum()) for part in range(3)] == [8, 1, 1]
        assert [int(classes[parts == part, 2].sum()) for part in range(3)] == [48, 6, 6]


def test_what_labels_show_decides_and_is_told(root):
    (root / "labels.txt").write_text("ground\ncoin\nnut\nbolt\n")
    split = split_dataset(root, train=50, val=50, stratify=True)
    assert split.lists[0].classes == {"ground": 10, "coin": 3, "nut": 3, "bolt": 3} or all(
        abs(split.lists[0].classes[name] - split.lists[1].classes[name]) <= 1
        for name in ("coin", "nut", "bolt")
    )
    assert sum(part.classes["nut"] for part in split.lists) == 5


def test_a_class_that_a_list_cannot_get_is_named(tmp_path):
    root = make(tmp_path, list("abcd"))
    split = split_dataset(root, train=50, val=50, stratify=True)
    unseen = [note for note in split.notes if "shows nothing of: value" in note]
    assert unseen
    assert "(1 in all)" in unseen[0]


def test_without_lists_files_are_paired_by_name(tmp_path):
    root = make(tmp_path, list("abcde"))
    (root / "train.txt").unlink()
    (root / "annotations/e.png").rename(root / "annotations/f.png")
    (root / "images/notes.md").write_text("no image")
    split = split_dataset(root, train=50, val=50)
    assert sorted(listed(root, "train") + listed(root, "val")) == [
        (f"images/{name}.png", f"annotations/{name}.png") for name in "abcd"
    ]
    assert "1 images have no label of their name and are left out: images/e.png" in split.notes
    assert "1 labels have no image of their name and are left out: annotations/f.png" in split.notes


def test_two_images_of_one_name_are_refused(tmp_path):
    root = make(tmp_path, list("ab"))
    shutil.copy(root / "images/a.png", root / "images/a.jpg")
    with pytest.raises(DataError, match=r"images/a\.\w+ and images/a\.\w+ have one name"):
        split_dataset(root, rescan=True)


def test_odd_names_survive(tmp_path):
    names = ["two words", "#1", os.fsdecode(b"latin-\xe9"), '"q"', "\ufeffmark", "tab\there"]
    root = make(tmp_path, names)
    (root / "train.txt").unlink()
    split_dataset(root, train=50, val=50)
    assert sorted(image for part in ("train", "val") for image, _ in listed(root, part)) == sorted(
        f"images/{name}.png" for name in names
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 80, "val": 10, "test": 20}, r"80 \+ val 10 \+ test 20 = 110.*Take away 10"),
        ({"train": 80, "val": 10}, r"80 \+ val 10 \+ test 0 = 90.*Add 10"),
        ({"train": 100}, "both need a share"),
        ({"train": float("nan"), "val": 50}, "between 0 and 100"),
        ({"train": -10, "val": 110}, "between 0 and 100"),
        ({"folds": 1}, "must be 2 to 100"),
        ({"folds": 2, "train": 80}, "leave out train and val"),
        ({"folds": 21}, r"20 images cannot fill 21 lists"),
        ({"seed": -1}, "0 or more"),
        ({"group_by": "("}, "no regular expression"),
        ({"group_by": "^images/0"}, "10 of 20 images do not match"),
        ({"group_by": "images"}, r"20 images in 1 groups cannot fill 2 lists \(train, val\)"),
        ({"keep_test": True}, "no test list to keep"),
        ({"keep_test": True, "test": 10, "train": 90}, "either test.txt stays"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_changes(root, options, message):
    before = text_files(root)
    with pytest.raises((RequestError), match=message):
        split_dataset(root, **options)
    assert text_files(root) == before


@pytest.mark.parametrize("count", [2, 3, 4])
def test_tiny_sets_fill_every_list_or_are_refused(tmp_path, count):
    root = make(tmp_path, list("abcd")[:count])
    if count < 3:
        with pytest.raises(RequestError, match="2 images cannot fill 3 lists"):
            split_dataset(root, train=80, val=10, test=10)
        return
    split = split_dataset(root, train=80, val=10, test=10)
    assert [part.images for part in split.lists] == [count - 2, 1, 1]


def test_a_test_list_is_not_dissolved_unasked_and_can_be_kept(root):
    split_dataset(root, train=70, val=20, test=10)
    kept = listed(root, "test")
    with pytest.raises(RequestError, match=r"test.txt lists 2 images.*--keep-test"):
        split_dataset(root, train=80, val=20)
    split = split_dataset(root, folds=3, keep_test=True, rescan=True)
    assert listed(root, "test") == kept
    assert "2 images are in test.txt and stay there" in split.notes
    assert not set(kept) & {*listed(root, "train_fold1"), *listed(root, "val_fold1")}


def test_repeated_rows_count_once_and_contradictions_are_refused(root):
    with (root / "val.txt").open("a") as file:
        file.write("images/00.png annotations/00.png\n")
    assert "1 rows repeat others and count once" in split_dataset(root).notes
    with (root / "val.txt").open("a") as file:
        file.write("images/00.png annotations/01.png\n")
    with pytest.raises(ListFileError, match=r"images/00.png has the label annotations/01.png here"):
        split_dataset(root)


def test_a_dry_run_writes_nothing(root):
    before = text_files(root)
    split = split_dataset(root, dry_run=True, seed=5)
    assert text_files(root) == before
    assert not split.is_written
    assert [p.images for p in split_dataset(root, seed=5).lists] == [p.images for p in split.lists]


def every_row(root):
    return {row for name in text_files(root) if ".txt" in name and not name.startswith(".")
            for row in listed_at(root / name)}  # fmt: skip


def listed_at(path):
    return [(row.image, row.label) for row in read_rows(path)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_point_loses_no_row_and_the_next_split_heals(tmp_path, when):
    names = [f"{n}" for n in range(6)]
    probe = make(tmp_path / "probe", names, ("train", "val"))
    count = Recorder(probe)
    split_dataset(probe, train=50, val=50, files=count)
    operations = len(count.record)
    assert operations > 10
    for n in range(1, operations + 1):
        root = make(tmp_path / f"{n}", names, ("train", "val"))
        before = every_row(root)
        status = run_forked(
            lambda: split_dataset(root, train=50, val=50, files=KillAt(n, when))  # noqa: B023
        )
        assert status == -signal.SIGKILL
        assert every_row(root) >= before
        split_dataset(root, train=50, val=50)
        assert {*listed(root, "train"), *listed(root, "val")} == before
        assert listed(root, "train") == listed(probe, "train")
        assert not [name for name in text_files(root) if name.startswith(".")]


@pytest.mark.parametrize("lasting", [False, True])
def test_an_error_at_any_point_loses_no_row_and_the_next_split_heals(tmp_path, lasting):
    intact = 0
    for n in range(1, 31):
        root = make(tmp_path / f"{n}", "abcd", ("train", "val"))
        lists = text_files(root)
        before = every_row(root)
        try:
            split_dataset(root, files=FailAt(n, errno.ENOSPC, lasting=lasting))
        except StorageError:
            intact += {k: v for k, v in text_files(root).items() if k[0] != "."} == lists
        assert every_row(root) >= before
        split_dataset(root)
        assert {*listed(root, "train"), *listed(root, "val")} == before
        assert not [name for name in text_files(root) if name.startswith(".")]
    assert intact > 10


def test_a_list_that_a_user_made_after_a_kill_is_kept(tmp_path):
    kept = 0
    for n in range(1, 40):
        root = make(tmp_path / f"{n}", "abcd", ("train", "val"))
        status = run_forked(
            lambda: split_dataset(root, train=50, val=50, files=KillAt(n, "after"))  # noqa: B023
        )
        if status != -signal.SIGKILL:
            break
        if not (root / "train.txt").exists():
            (root / "train.txt").write_text("mine\n")
            finish_list_replacement(root)
            assert b"mine\n" in text_files(root).values()
            kept += (root / "train.txt").read_bytes() != b"mine\n"  # the change came to its end
    assert kept > 2


@pytest.mark.parametrize(
    "plan",
    [
        '{"retire": {"../a.txt": "../b.txt.bak"}, "install": {}}',
        '{"retire": {"labels.txt": "x/labels.txt.bak"}, "install": {}}',
        '{"retire": {}, "install": {".planned-list-1-000000000000000000000000": "../train.txt"}}',
        '{"retire": {}, "install": {"images/a.png": "train.txt"}}',
        "[]", "", "{", '{"retire": {}, "install": {}, "more": 1}',
    ],
)  # fmt: skip
def test_a_plan_from_a_stranger_renames_nothing_else(root, plan):
    (root / ".list-replacement.json").write_text(plan)
    before = text_files(root)
    with pytest.raises(DataError, match="is no plan of segcore's"):
        finish_list_replacement(root)
    assert text_files(root) == before


def coco(root, files):
    (root / "annotations").mkdir(parents=True)
    categories = [{"id": 3, "name": "a", "supercategory": "x"}, {"id": 9, "name": "b"}]
    for name, images in files.items():
        content = {
            "info": {"year": 2024},
            "images": [
                {"id": i, "file_name": file, "width": 4, "height": 4, "licence": 1}
                for i, file in enumerate(images)
            ],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 3, "bbox": [0, 0, 1, 1], "score": 0.5}
                for i in range(len(images))
            ],
            "categories": categories,
        }
        (root / "annotations" / name).write_text(json.dumps(content))
    return root


def test_coco_files_are_split_by_image_and_keep_all_else(tmp_path):
    root = coco(tmp_path, {"instances.json": [f"{n}.jpg" for n in range(10)]})
    original = json.loads((root / "annotations/instances.json").read_text())
    split = split_dataset(root, train=70, val=30, stratify=True)
    paths = [root / f"annotations/instance_{part}.json" for part in ("train", "val")]
    parts = [json.loads(path.read_text()) for path in paths]
    assert [len(part["images"]) for part in parts] == [7, 3]
    for part in parts:
        assert part["categories"] == original["categories"]
        assert part["info"] == original["info"]
        assert {a["image_id"] for a in part["annotations"]} == {i["id"] for i in part["images"]}
    for section in ("images", "annotations"):
        both = parts[0][section] + parts[1][section]
        assert sorted(both, key=lambda record: record["id"]) == original[section]
    assert split.lists[0].classes == {"a": 7, "b": 0}


def test_coco_files_that_use_the_same_ids_get_new_ones(tmp_path):
    files = {"instance_train.json": ["a.jpg", "b.jpg"], "instance_val.json": ["c.jpg", "d.jpg"]}
    root = coco(tmp_path, files)
    split = split_dataset(root, folds=2)
    assert "the files used the same ids, so images and objects have new ones" in split.notes
    for fold in range(2):
        parts = [
            json.loads((root / f"annotations/instance_{part}_fold{fold}.json").read_text())
            for part in ("train", "val")
        ]
        images = [image for part in parts for image in part["images"]]
        assert sorted(image["file_name"] for image in images) == [
            "a.jpg",
            "b.jpg",
            "c.jpg",
            "d.jpg",
        ]
        assert len({image["id"] for image in images}) == 4
        assert len({a["id"] for part in parts for a in part["annotations"]}) == 4
    assert (root / "annotations/instance_train.json.bak").exists()


def test_a_coco_dataset_reads_the_file_of_its_fold(tmp_path):
    root = draw_dataset(tmp_path / "set", "instances", images=6, size=32)
    split_dataset(root, folds=2, seed=3)
    for fold in range(2):
        dataset = CocoDataset(root, "val", DataConfig(fold=fold))
        path = root / f"annotations/instance_val_fold{fold}.json"
        names = [image["file_name"] for image in json.loads(path.read_text())["images"]]
        assert len(dataset) == len(names) == 3
        assert all(any(name in dataset.describe(i) for name in names) for i in range(3))


def test_coco_files_that_disagree_are_refused(tmp_path):
    root = coco(tmp_path, {"instance_train.json": ["a.jpg"], "instance_val.json": ["a.jpg"]})
    with pytest.raises(DataError, match="is listed twice"):
        split_dataset(root)
    path = root / "annotations/instance_val.json"
    path.write_text(path.read_text().replace('"name": "a"', '"name": "c"'))
    with pytest.raises(DataError, match="category 3 is 'c' here and 'a' in another file"):
        split_dataset(root)
