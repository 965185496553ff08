"""What holds for conversions of every format: places, names, reports, and the command."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from segcore.cli.data import data_command
from segcore.data.convert.run import convert_dataset
from segcore.errors import CheckFailed, ConfigError, DataError, OutputError, RequestError

from .conftest import encode, labelme, photo, shape, write

BOX = [[5, 5], [20, 20]]


def run(*arguments):
    return CliRunner().invoke(
        data_command, ["convert", *map(str, arguments)], catch_exceptions=False,
        standalone_mode=False,
    )  # fmt: skip


@pytest.mark.parametrize("output", [".", "inner/deeper"])
def test_the_output_is_not_inside_the_input(output, folder):
    root = folder(shape("a", "rectangle", BOX))
    with pytest.raises(OutputError, match="inside"):
        convert_dataset(root, "SegDataset", root / output)


def test_a_link_into_the_input_is_seen_through(folder, tmp_path):
    root = folder(shape("a", "rectangle", BOX))
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    with pytest.raises(OutputError, match="inside"):
        convert_dataset(root, "SegDataset", tmp_path / "link" / "out")


def test_a_folder_that_holds_something_is_left_alone(folder, tmp_path):
    root = folder(shape("a", "rectangle", BOX))
    write(tmp_path / "out/notes.txt", "mine")
    with pytest.raises(OutputError, match="--force"):
        convert_dataset(root, "SegDataset", tmp_path / "out")
    convert_dataset(root, "SegDataset", tmp_path / "out", force=True)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


def test_names_that_meet_on_some_file_system_are_refused_before_work(tmp_path):
    for name in ("a.png", "A.png"):
        write(tmp_path / "set" / name, encode(photo()))
        write(tmp_path / "set" / name.replace("png", "json"), labelme([], name))
    with pytest.raises(DataError, match=r"A and a"):
        convert_dataset(tmp_path / "set", "SegDataset", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_too_long_is_refused(tmp_path):
    write(tmp_path / "set/images/a.png", encode(photo()))
    write(tmp_path / "set/annotations/a.png", encode(np.zeros((40, 48), np.uint8)))
    write(tmp_path / "set/train.txt", f"images/{'a' * 300}.png annotations/a.png\n")
    with pytest.raises(DataError, match="250 bytes"):
        convert_dataset(tmp_path / "set", "SegDataset", tmp_path / "out")


def test_an_image_that_cannot_be_read_is_left_out_and_named(tmp_path, convert):
    root = tmp_path / "set"
    for name, data in (("good", encode(photo())), ("torn", encode(photo())[:900])):
        write(root / f"{name}.png", data)
        write(root / f"{name}.json", labelme([shape("a", "rectangle", BOX)], f"{name}.png"))
    report, maps = convert(root)
    assert list(maps) == ["good"]
    (skipped,) = report.as_json()["skipped"]
    assert (skipped["what"], skipped["files"]) == ("image", ["torn"])
    assert "truncated" in skipped["reason"]


def test_an_interrupted_conversion_leaves_no_dataset(tmp_path, folder):
    root = folder(shape("a", "rectangle", BOX))

    def stop(indices):
        yield from indices
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_dataset(root, "SegDataset", tmp_path / "out", progress=stop)
    assert not (tmp_path / "out/train.txt").exists()


def test_only_one_image_is_held_at_a_time(tmp_path, monkeypatch):
    from segcore.data.convert import labelme as module

    alive, most = [], []
    load = module.LabelMeDataset.load

    def counted(self, index):
        import weakref

        image = load(self, index)
        alive.append(weakref.ref(image))
        most.append(sum(ref() is not None for ref in alive))
        return image

    for number in range(6):
        write(tmp_path / f"set/{number}.png", encode(photo(number)))
        content = labelme([shape("a", "rectangle", BOX)], f"{number}.png")
        write(tmp_path / f"set/{number}.json", content)
    monkeypatch.setattr(module.LabelMeDataset, "load", counted)
    convert_dataset(tmp_path / "set", "COCO", tmp_path / "out")
    assert max(most) <= 2  # the one before is let go when the next one has come


def test_formats_are_found_out(folder, tmp_path):
    root = folder(shape("a", "rectangle", BOX))
    assert convert_dataset(root, "voc", tmp_path / "voc").source_format == "LabelMe"
    assert convert_dataset(tmp_path / "voc", "coco", tmp_path / "coco").source_format == "VOC"
    report = convert_dataset(tmp_path / "coco", "segdataset", tmp_path / "seg")
    assert report.source_format == "COCO"
    report = convert_dataset(tmp_path / "seg", "VOC", tmp_path / "again")
    assert report.source_format == "SegDataset"


def test_a_folder_of_no_known_format_is_refused_with_the_formats(tmp_path):
    with pytest.raises(DataError, match=r"SegDataset, COCO, VOC, LabelMe.*--from"):
        convert_dataset(tmp_path, "VOC", tmp_path.parent / "never")


@pytest.mark.parametrize(
    ("option", "error"), [("line_widht", "line_width"), ("line_width", "greater")]
)
def test_options_of_formats_are_checked(option, error, folder, tmp_path):
    with pytest.raises(ConfigError, match=error):
        convert_dataset(folder(), "VOC", tmp_path / "o", read_options={option: 0})


def test_a_format_that_is_only_read_is_not_written(folder, tmp_path):
    with pytest.raises(RequestError, match="To be written: SegDataset, COCO, VOC"):
        convert_dataset(folder(), "LabelMe", tmp_path / "out")


def test_the_command_tells_what_it_did(folder, tmp_path):
    root = folder(shape("a", "rectangle", BOX), shape("a", "rectangle", [[30, 30], [99, 35]]),
                  shape("b", "polygon", [[1, 1]]))  # fmt: skip
    result = run(root, "--from", "LabelMe", "--output", tmp_path / "out")
    assert "1 images (1 train)" in result.output
    assert "a 2" in result.output
    assert "1 shape clipped: it goes beyond the image (photo)" in result.output
    assert "1 shape skipped: a polygon of fewer than 3 points (photo)" in result.output


def test_the_report_is_json_and_lies_in_the_output(folder, tmp_path):
    root = folder(shape("a", "rectangle", BOX))
    printed = json.loads(run(root, "--output", tmp_path / "out", "--json").output)
    assert printed == json.loads((tmp_path / "out/convert_dataset_result.json").read_text())
    assert printed["annotations"] == {"_background_": 0, "a": 1}


def test_strict_ends_with_one_when_something_was_left_out(folder, tmp_path):
    result = CliRunner().invoke(
        data_command,
        ["convert", str(folder(shape("a", "point", [[500, 5]]))), "--output",
         str(tmp_path / "out"), "--strict"],
        standalone_mode=False,
    )  # fmt: skip
    assert isinstance(result.exception, CheckFailed)
    assert (tmp_path / "out/train.txt").exists()


def test_options_reach_the_format_that_they_name(folder, tmp_path):
    root = folder(shape("a", "line", [[5, 20], [40, 20]]))
    run(root, "--output", tmp_path / "out", "-o", "from.line_width=3", "-o", "to.palette=true")
    from PIL import Image

    label = Image.open(tmp_path / "out/annotations/photo.png")
    assert label.mode == "P"
    assert np.asarray(label)[:, 20].sum() == 3
    with pytest.raises(RequestError, match=r"from\.KEY=VALUE"):
        run(root, "--output", tmp_path / "out2", "-o", "line_width=3")


def test_control_characters_of_names_do_not_reach_the_terminal(folder, tmp_path):
    root = folder(shape("a\x1b[2J", "rectangle", BOX), shape("b", "polygon", [[1, 1]]))
    for name in ("photo.png", "photo.json"):
        (root / name).rename(root / f"\x1b[31m{name}")
    content = json.loads((root / "\x1b[31mphoto.json").read_text())
    write(root / "\x1b[31mphoto.json", {**content, "imagePath": "\x1b[31mphoto.png"})
    result = run(root, "--output", tmp_path / "out")
    assert "\x1b" not in result.output
    assert r"a\x1b[2J 1" in result.output


def test_help_imports_neither_cv2_nor_numpy():
    code = (
        "import sys\n"
        "from segcore.cli.data import data_command\n"
        "data_command(['convert', '--help'], standalone_mode=False)\n"
        "sys.exit('cv2' in sys.modules or 'numpy' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_images_of_many_channels_stay_as_they_are(tmp_path):
    from io import BytesIO

    file = BytesIO()
    np.save(file, np.zeros((40, 48, 5), np.uint16))
    write(tmp_path / "set/a.npy", file.getvalue())
    write(tmp_path / "set/a.json", labelme([shape("a", "rectangle", BOX)], "a.npy"))
    convert_dataset(tmp_path / "set", "SegDataset", tmp_path / "out")
    assert (tmp_path / "out/images/a.npy").read_bytes() == file.getvalue()
