import json

import pytest
from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.data.demo import draw_dataset
from segcore.errors import CheckFailed, RequestError


@pytest.fixture
def root(tmp_path):
    return draw_dataset(tmp_path / "set", "shapes", images=10, size=32)


def run(*arguments):
    return CliRunner().invoke(
        data_command, [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False
    )


def test_split_prints_its_lists_and_the_backups(root):
    result = run("split", root, "--percent", "60,20,20", "--stratify")
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "list", "images", "share", "background", "circle", "rectangle", "triangle", "star"
    ]  # fmt: skip
    assert lines[1].split()[:3] == ["train.txt", "6", "60.0%"]
    assert lines[-1] == "Old lists: train.txt -> train.txt.bak, val.txt -> val.txt.bak"


def test_split_prints_json(root):
    result = run("split", root, "--folds", 2, "--group-by", r"(\d)\.jpg", "--dry-run", "--json")
    split = json.loads(result.stdout)
    assert [part["file"] for part in split["lists"]] == [
        "train.txt", "val.txt", "train_fold0.txt", "val_fold0.txt",
        "train_fold1.txt", "val_fold1.txt",
    ]  # fmt: skip
    assert not split["is_written"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--percent", "80,10,10", "--test", 10), "one or the other"),
        (("--percent", "80"), "give 2 or 3 numbers"),
        (("--percent", "a,b"), "write numbers"),
        (("--percent", "80,10,20"), r"= 110, but percentages sum to 100\. Take away 10"),
    ],
)
def test_split_refuses_shares_that_make_no_sense(root, options, message):
    with pytest.raises(RequestError, match=message):
        run("split", root, *options)


def test_training_takes_the_lists_of_a_fold(root, toys, tmp_path):
    from segcore.cli.train import train_command

    run("split", root, "--folds", 2)
    for name in ("train.txt", "val.txt", "train_fold0.txt", "val_fold0.txt"):
        (root / name).write_text("images/none.jpg annotations/none.png\n")
    options = (
        "train.iters=1", "train.batch_size=2", "train.crop_size=[32, 32]", "train.num_workers=0"
    )  # fmt: skip
    command = ["Toy", "--data", str(root), "--fold", "1", "--output", str(tmp_path / "run")]
    for option in options:
        command += ["-o", option]
    result = CliRunner().invoke(train_command, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "  fold: 1\n" in (tmp_path / "run/config.yaml").read_text()


def test_fix_prints_what_it_did_and_ends_with_1_where_something_stays(root):
    from PIL import Image

    label = root / "annotations/shapes_0000.png"
    Image.open(label).convert("RGB").save(label)
    assert "1 labels of three equal channels" in run("fix", root, "--dry-run").stdout
    (root / "annotations/shapes_0001.png").write_bytes(b"")
    with pytest.raises(CheckFailed, match="1 files could not be repaired"):
        run("fix", root, "--in-place")
    with pytest.raises(CheckFailed):
        run("fix", root, "--in-place", "--json")
    assert (root / "fix.bak/annotations/shapes_0000.png").exists()


def test_fix_prints_json(root):
    fix = json.loads(run("fix", root, "--dry-run", "--json", "--label-map", "4=255").stdout)
    assert [repair["kind"] for repair in fix["repairs"]] == ["label-value"]
    assert not fix["is_written"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--label-map", "255"), "write pairs such as 255=1"),
        (("--label-map", "a=1"), "write pairs such as 255=1"),
        (("--label-map", "1=2,1=3"), "names something twice"),
        (("--label-map", "1=-2"), "write pairs"),
        (("--colours", "red=1"), "write pairs such as #ff0000=1"),
        (("--colours", "#ff00=1"), "write pairs such as #ff0000=1"),
        ((), "--output NEW_DIR"),
    ],
)
def test_fix_refuses_what_it_does_not_understand(root, options, message):
    with pytest.raises(RequestError, match=message):
        run("fix", root, *options)
