"""Every command that writes, against everything of the user's that may stand where it writes."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.cli.main import run
from segcore.data.listfile import format_row


@dataclass(frozen=True)
class Command:
    """A command in words, with places in braces, and the files and folders that it writes."""

    words: str
    files: tuple[str, ...]
    folders: tuple[str, ...] = ()


COMMANDS = {
    "predict": Command(
        "predict {run} {images}/photo.jpg --output {out} --device cpu",
        ("photo.png", "photo_overlay.jpg", "photo.json"),
    ),
    "eval": Command(
        "eval {run} --data {data} --output {out} --workers 0", ("evaluate_result.json",)
    ),
    "check": Command(
        "data check {data} --output {out}",
        ("check_dataset_result.json",),
        folders=("check_dataset", "check_dataset/demo_img"),
    ),
    "baseline": Command(
        "data check {data} --output {elsewhere} --write-baseline {out}/known.json", ("known.json",)
    ),
    "check --report": Command(
        "data check {data} --output {elsewhere} --report {out}/report.html", ("report.html",)
    ),
    "stats": Command("data stats {data} --report {out}/report.html", ("report.html",)),
    "view": Command("data view {data} --output {out}", ("sheet_001.jpg",)),
}
# These want a folder of their own, and look into none that has anything in it.
WHOLE = {
    "export": ("export {run} --output {out}", False),
    "convert": ("data convert {data} --to COCO --output {out}", True),
    "demo": ("data demo {out} --images 2 --size 32", True),
    "fix": ("data fix {data} --output {out}", False),
    "plugins new": ("plugins new mine --output {out}/..", False),
    "train": ("train Strongest-Colour --data {data} --output {out} --iters 1 --device cpu", False),
}
OF_A_RUN = ("config.yaml", "train.log", "metrics.jsonl", "train_result.json", "run.id", "run.lock")


@pytest.fixture(scope="module")
def _places(tmp_path_factory):
    return tmp_path_factory.mktemp("places")


@pytest.fixture
def call(_places, colour_run, tmp_path, monkeypatch):
    """Give what calls a command, with copies of everything that it reads."""
    source = _places / "source"
    if not source.exists():
        write_dataset(source / "data")
        shutil.copytree(colour_run, source / "run")
        (source / "images").mkdir()
        Image.new("RGB", (16, 16), (9, 200, 9)).save(source / "images" / "photo.jpg")
    for path in source.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)

    def call(words, out="out", *more):
        places = {name: name for name in ("run", "data", "images", "elsewhere")}
        return run([*words.format(out=out, **places).split(), *more])

    return call


def write_dataset(root):
    """Write images of a red, a green and a blue half, with their labels."""
    rows = []
    for number in range(4):
        pixels = np.full((16, 16, 3), number, np.uint8)
        pixels[:, :8, number % 3] = 200
        pixels[:, 8:, (number + 1) % 3] = 200
        for folder, image, end in (
            ("images", pixels, "png"),
            ("annotations", pixels.argmax(axis=2).astype(np.uint8), "png"),
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / folder / f"{number}.{end}")
        rows.append(format_row(f"images/{number}.png", f"annotations/{number}.png") + "\n")
    (root / "train.txt").write_text("".join(rows[:2]))
    (root / "val.txt").write_text("".join(rows[2:]))
    (root / "labels.txt").write_text("red\ngreen\nblue\n")


def snapshot(root=Path()):
    """Everything below `root`: bytes of files, targets of links, and None for folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path)] = path.readlink()
        else:
            found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def each_file():
    return [
        pytest.param(command, file, id=f"{name}: {file}")
        for name, command in COMMANDS.items()
        for file in command.files
    ]


def put_file(path):
    path.write_bytes(b"mine")


def put_json(path):
    path.write_bytes(b'{"shapes": [], "written_by": "LabelMe"}')


def put_link(path):
    Path("precious").write_bytes(b"mine")
    path.symlink_to(Path("precious").absolute())


def put_dangling_link(path):
    path.symlink_to("nowhere")


STRANGERS = [put_file, put_json, put_link, put_dangling_link]


def refused(call, *arguments):
    """Call a command, and say whether it ended with 2 and changed nothing at all."""
    before = snapshot()
    code = call(*arguments)
    after = snapshot()
    assert {k: v for k, v in after.items() if k in before} == before
    assert sorted(after.keys() - before.keys()) == []
    return code == 2


@pytest.mark.parametrize(("command", "file"), each_file())
def test_a_file_of_somebody_else_stays_unless_forced(call, command, file, capsys):
    for put in STRANGERS:
        shutil.rmtree("out", ignore_errors=True)
        Path("out").mkdir()
        put(Path("out", file))
        assert refused(call, command.words), put.__name__
        assert Path(file).name in capsys.readouterr().err
    assert call(command.words, "out", "--force") == 0
    assert not Path("out", file).is_symlink()
    assert Path("precious").read_bytes() == b"mine"


@pytest.mark.parametrize(("command", "file"), each_file())
def test_a_folder_under_the_name_of_a_file_stays(call, command, file):
    Path("out", file).mkdir(parents=True)
    Path("out", file, "thesis.txt").write_text("mine")
    assert refused(call, command.words, "out", "--force")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_results_of_the_same_command_are_replaced(call, command):
    assert call(command.words) == 0
    Path("out", "notes.txt").write_text("mine")
    first = {file: Path("out", file).stat().st_ino for file in command.files}
    assert call(command.words) == 0
    assert Path("out", "notes.txt").read_text() == "mine"
    assert all(Path("out", file).stat().st_ino != first[file] for file in command.files)


def test_results_of_another_command_are_not(call):
    for name in ("eval", "check"):
        assert call(COMMANDS[name].words) == 0
    shutil.copyfile("out/check_dataset_result.json", "out/evaluate_result.json")
    assert refused(call, COMMANDS["eval"].words)


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("file", COMMANDS["predict"].files)
def test_the_image_stays_under_every_name(call, file, link):
    Path("out").mkdir()
    link(Path("images/photo.jpg").absolute(), Path("out", file))
    for more in ((), ("--force",)):
        assert refused(call, COMMANDS["predict"].words, "out", *more)


def test_an_image_is_not_replaced_by_the_result_of_another(call):
    words = "predict {run} {images}/photo.jpg {images}/sub/other.png --output {out} --device cpu"
    Path("images/sub").mkdir()
    Image.new("RGB", (16, 16)).save("images/sub/other.png")
    shutil.copy("images/photo.jpg", "images/sub/photo.png")
    for more in ((), ("images/sub/photo.png",)):
        assert refused(call, words, "images/sub", "--force", *more)
    assert refused(call, words, "images/../images/sub/")


@pytest.mark.parametrize("name", ["images/photo.jpg", "data/images/0.png", "settings.yaml"])
def test_no_input_becomes_a_report(call, name):
    Path("settings.yaml").write_text("data: {ignore_index: 255}\n")
    words = f"data stats {{data}} -c settings.yaml --report {name} --force"
    if name != "images/photo.jpg":
        assert refused(call, words)
        Path("alias").symlink_to(Path(name).parent.absolute())
        assert refused(call, words.replace(name, f"alias/{Path(name).name}"))
    else:  # no input of this command
        assert call(words) == 0


@pytest.mark.parametrize("folder", COMMANDS["check"].folders)
def test_a_file_within_the_folder_of_a_check_stays(call, folder):
    assert call(COMMANDS["check"].words) == 0
    Path("out", folder, "notes.txt").write_text("mine")
    for more in ((), ("--force",)):
        assert refused(call, COMMANDS["check"].words, "out", *more)


@pytest.mark.parametrize("number", [1, 7])
def test_only_own_sheets_go(call, number):
    words = "data view {data} --output {out} --columns 1 --limit 2"
    assert call(words) == 0
    assert names_in("out") == ["sheet_001.jpg", "sheet_002.jpg"]
    Path(f"out/sheet_{number:03}.png").write_bytes(b"mine")
    assert call(words.replace("--limit 2", "--limit 1")) == 0
    assert names_in("out") == sorted(["sheet_001.jpg", f"sheet_{number:03}.png"])


@pytest.mark.parametrize(("words", "force"), WHOLE.values(), ids=WHOLE)
def test_a_folder_with_a_thesis_stays_as_it_is(call, words, force):
    out = "out/segcore-mine" if words.startswith("plugins") else "out"
    Path(out, "deep").mkdir(parents=True)
    Path(out, "deep", "thesis.txt").write_text("mine")
    if words.startswith("train"):
        for name in (*OF_A_RUN, "best_model", "checkpoints", "evaluations.csv"):
            Path(out, name).write_text("mine")
            assert refused(call, words), name
            Path(out, name).unlink()
        return
    assert refused(call, words, out)
    if force:
        assert call(words, out, "--force") == 0
        assert Path(out, "deep", "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "output", ["run", "run/", "run/../run", ".", "..", "other", "run/best_model", "run/checkpoints"]
)
def test_no_run_and_no_folder_around_one_becomes_an_export(call, output):
    shutil.copytree("run", "other")
    Path("run/checkpoints").mkdir()
    Path("run/checkpoints/step").write_text("mine")
    assert refused(call, WHOLE["export"][0], output)


def test_an_export_takes_an_empty_folder_and_an_earlier_export(call):
    words = WHOLE["export"][0]
    Path("out").mkdir()
    for _ in range(2):
        assert call(words) == 0
    Path("out/notes.txt").write_text("mine")
    assert refused(call, words)
    Path("link").symlink_to("out")
    assert refused(call, words, "link")
    assert refused(call, "export run/best_model/inference --output run/best_model/inference")
    assert refused(call, words, "run/best_model/inference")


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_a_conversion_does_not_reach_its_source_through_links(call, more):
    words = "data convert {data} --to SegDataset --output {out}"
    shutil.copytree("data", "nest/images/data")
    assert refused(call, words.replace("{data}", "nest/images/data"), "nest", *more)
    Path("out").mkdir()
    Path("out/images").symlink_to(Path("data/images").absolute())
    before = snapshot(Path("data"))
    assert call(words, "out", "--force") == 2
    assert snapshot(Path("data")) == before


def test_a_plugin_is_not_begun_in_a_link_to_nowhere(call):
    Path("out").mkdir()
    Path("out/segcore-mine").symlink_to("nowhere")
    assert refused(call, "plugins new mine --output out")


def test_a_file_of_classes_is_not_written_over_by_the_conversion(call):
    Path("out").mkdir()
    Path("out/labels.txt").write_text("# mine\nred\ngreen\nblue\n")
    words = "data convert {data} --to SegDataset --output {out} --classes out/labels.txt"
    assert refused(call, words, "out", "--force")
