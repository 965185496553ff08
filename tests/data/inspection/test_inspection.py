"""Sets with many faults at once, baselines, the files of a result, and what is no fault."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.cli.main import run
from segcore.config.schema import DataConfig
from segcore.data.check import check_dataset
from segcore.data.demo import draw_dataset
from segcore.data.findings import FINDING_KINDS
from segcore.data.inspection.baseline import read_baseline, write_baseline
from segcore.errors import OutputError, RequestError

ROOT = Path(__file__).parents[3]


def load_corpus():
    spec = spec_from_file_location("check_corpus", Path(__file__).with_name("corpus.py"))
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


corpus = load_corpus()


@pytest.fixture
def root(tmp_path):
    return corpus.draw_clean(tmp_path / "set")


def plant(root, *names):
    for each in corpus.PLANTS:
        if each.name in names:
            each.plant(root)


def codes(result):
    return [finding.code for finding in result.findings]


def test_codes_and_names_are_given_once():
    assert len({kind.code for kind in FINDING_KINDS}) == len(FINDING_KINDS)
    assert len({kind.name for kind in FINDING_KINDS}) == len(FINDING_KINDS)


def test_every_kind_has_a_plant_or_is_accounted_for():
    planted = {each.code for each in (*corpus.PLANTS, *corpus.COCO_PLANTS)}
    planted |= {code for each in corpus.PLANTS for code, _, _ in each.also}
    # SEG010 needs a user other than root, SEG011 a change in the middle of a check, SEG012 a name
    # of 256 bytes, SEG019 a plugin's own error, SEG120 a decoder that warns, SEG213 stands below
    elsewhere = {"SEG010", "SEG011", "SEG012", "SEG019", "SEG120", "SEG213"}
    assert {kind.code for kind in FINDING_KINDS} - planted == elsewhere


def test_a_label_with_an_orientation_of_its_own_is_found(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / corpus.label_name(2)
    path.write_bytes(corpus.encode(corpus.label(2), exif=exif))
    assert codes(check_dataset(root)) == ["SEG213"]


def test_a_name_that_is_too_long_is_found(root):
    corpus.replace_row(root, "train", 0, f"images/{'n' * 300}.jpg annotations/00.png")
    assert "SEG012" in codes(check_dataset(root))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_found(root):
    (root / corpus.image_name(2)).chmod(0)
    assert codes(check_dataset(root)) == ["SEG010"]


def test_all_kinds_of_faults_are_told_in_one_run(root):
    plant(root, "a named pipe", "a row of three fields", "no labels.txt")
    for split in ("train", "val"):
        corpus.add_rows(split, f"{corpus.image_name(5)} {corpus.label_name(5)}")(root)
    (root / corpus.image_name(6)).unlink()
    (root / corpus.label_name(7)).write_bytes(b"")
    (root / "val.txt").write_text((root / "val.txt").read_text() + "../x.jpg y.png\n")
    found = set(codes(check_dataset(root)))
    assert {"SEG003", "SEG005", "SEG006", "SEG007", "SEG016", "SEG021", "SEG101"} <= found


def test_findings_of_one_kind_are_counted_and_named(root):
    for number in (1, 2, 5):
        (root / corpus.image_name(number)).unlink()
    (finding,) = check_dataset(root).findings
    assert (finding.count, finding.file, finding.line) == (3, "images/01.jpg", 2)
    assert finding.others == ("images/02.jpg (line 3)", "images/05.jpg (line 6)")


def test_colours_are_offered_as_classes(root):
    plant(root, "colours")
    (finding,) = check_dataset(root).findings
    assert "(128, 0, 0)" in finding.message
    options = "--colours '#000000=0,#008000=1,#800000=2'"
    assert finding.fix == f"segcore data fix {root} --in-place {options}"


def test_what_is_right_as_it_is_gives_no_finding(root):
    """Line ends, a byte-order mark, comments, bit depth, EXIF with a turned label, odd names."""
    text = "\ufeff# a comment\r\n" + (root / "train.txt").read_text().replace("\n", "\r\n")
    (root / "train.txt").write_text(text, newline="")
    corpus.put_image(corpus.rotated(3, lambda array: array[::-1, ::-1]))(root)
    name = 'images/two words "x" \N{GRINNING FACE}.jpg'
    (root / corpus.image_name(5)).rename(root / name)
    rows = (root / "train.txt").read_bytes().decode()
    (root / "train.txt").write_bytes(rows.replace(corpus.image_name(5), json.dumps(name)).encode())
    assert check_dataset(root).findings == ()


def test_images_of_a_palette_or_with_much_text_inside_are_right(root):
    """Rows 12 and 20: the colours count, and metadata is never unpacked."""
    from PIL.PngImagePlugin import PngInfo

    palette = Image.fromarray(corpus.picture(3)).convert("P", palette=Image.Palette.ADAPTIVE)
    corpus.named_image(".png", lambda _: corpus.encode(palette))(root)
    text = PngInfo()
    text.add_text("bomb", "0" * 40_000_000, zip=True)
    (root / "images/text.png").write_bytes(corpus.encode(corpus.picture(4), pnginfo=text))
    corpus.replace_row(root, "train", 4, f"images/text.png {corpus.label_name(4)}")
    assert check_dataset(root).findings == ()


def test_images_of_one_pixel_or_one_row_are_small_and_no_more(root):
    for number, size in ((1, (1, 1)), (2, (1, 900)), (3, (900, 1))):
        corpus.put_image(lambda _, s=size: corpus.encode(np.zeros((*s, 3), np.uint8)), number)(root)
        corpus.put_label(lambda _, s=size: corpus.encode(np.ones(s, np.uint8)), number)(root)
    found = check_dataset(root).findings
    assert {finding.code for finding in found} == {"SEG115", "SEG116"}
    assert found[0].count == 3


def test_labels_of_32_bits_cost_no_memory_that_they_claim(root):
    import cv2

    wild = corpus.label(3).astype(np.int32)
    wild[0, :9] = 2**31 - 1 - np.arange(9)
    corpus.named_label(".tif", lambda _: cv2.imencode(".tiff", wild)[1].tobytes())(root)
    assert codes(check_dataset(root)) == ["SEG215"]
    (root / "labels.txt").unlink()
    assert codes(check_dataset(root)) == ["SEG215", "SEG016"]


def test_many_absent_classes_are_one_finding(root):
    (root / "labels.txt").unlink()
    wild = corpus.label(3).astype(np.uint16)
    wild[:9] = 40000
    corpus.put_label(lambda _: corpus.encode(Image.fromarray(wild)))(root)
    found = {finding.code: finding for finding in check_dataset(root).findings}
    assert "39997 of 40001 classes occur in no label" in found["SEG302"].message


@pytest.mark.parametrize("kind", ["optic-disc", "shapes", "instances"])
def test_nothing_is_found_in_drawn_datasets(tmp_path, kind):
    draw_dataset(tmp_path, kind, images=40, size=64)
    assert check_dataset(tmp_path).findings == ()


def test_nothing_is_found_in_a_dataset_cut_from_a_photograph(tmp_path):
    script = ROOT / "docs" / "examples" / "coins.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True)
    assert check_dataset(tmp_path).findings == ()


# -- the result


def test_the_result_has_the_keys_of_paddlex(root, tmp_path):
    check_dataset(root, output=tmp_path / "out")
    result = json.loads((tmp_path / "out/check_dataset_result.json").read_text())
    attributes = result["attributes"]
    assert result["done_flag"] is True
    assert result["check_pass"] is True
    assert (attributes["train_samples"], attributes["val_samples"]) == (8, 4)
    assert attributes["num_classes"] == 3
    assert result["analysis"] == {"histogram": "check_dataset/histogram.png"}
    assert (result["show_type"], result["dataset_type"]) == ("image", "SegDataset")
    assert result["dataset_path"] == str(root)
    for split, count in (("train", 8), ("val", 4)):
        paths = attributes[f"{split}_sample_paths"]
        assert len(paths) == count
        shapes = {np.array(Image.open(tmp_path / "out" / path)).shape for path in paths}
        assert shapes == {(corpus.HEIGHT, corpus.WIDTH, 3)}


def test_a_result_replaces_an_older_one_whole(root):
    check_dataset(root, output=root)
    pictures = root / "check_dataset/demo_img"
    next(pictures.iterdir()).rename(pictures / "old.png")
    check_dataset(root, output=root)
    assert not (root / "check_dataset/demo_img/old.png").exists()
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_a_check_leaves_the_files_of_others_alone(root):
    check_dataset(root, output=root)
    for name in ("check_dataset/notes.txt", "check_dataset/demo_img/mine.png"):
        (root / name).write_bytes(b"mine")
        with pytest.raises(OutputError, match="would be lost"):
            check_dataset(root, output=root, force=True)
        assert (root / name).read_bytes() == b"mine"
        (root / name).unlink()
    (root / "check_dataset_result.json").write_text("{}")
    with pytest.raises(OutputError, match=r"check_dataset_result\.json"):
        check_dataset(root, output=root)
    check_dataset(root, output=root, force=True)


def test_pictures_show_the_label_in_its_colours(root, tmp_path):
    (root / "labels.txt").write_text("background\nbox #ff0000\ndisc #00ff00\n")
    check_dataset(root, output=tmp_path)
    picture = np.array(Image.open(tmp_path / "check_dataset/demo_img/00.jpg")).astype(int)
    photograph = corpus.picture(0).astype(int)
    assert np.abs(picture - photograph)[40:, :20].mean() < 8  # background is left alone
    red = (picture - photograph)[10:18, 10:20].mean(axis=(0, 1))
    assert red[0] > 30
    assert red[1] < 0
    assert red[2] < 0


def test_images_of_one_name_have_pictures_of_their_own(root, tmp_path):
    for split, numbers in (("train", corpus.TRAIN), ("val", corpus.VAL)):
        rows = []
        for number in numbers:
            folder = root / f"images/{number}"
            folder.mkdir()
            (root / corpus.image_name(number)).rename(folder / "frame.jpg")
            rows.append(f"images/{number}/frame.jpg {corpus.label_name(number)}\n")
        (root / f"{split}.txt").write_text("".join(rows))
    result = check_dataset(root, output=tmp_path / "out")
    assert result.findings == ()
    assert len(list((tmp_path / "out/check_dataset/demo_img").iterdir())) == 12


# -- the command


def test_errors_end_the_command_with_1_and_warnings_with_0(root, capsys):
    assert run(["data", "check", str(root)]) == 0
    plant(root, "a palette")
    assert run(["data", "check", str(root)]) == 0
    assert "SEG216 warning" in capsys.readouterr().out
    plant(root, "an empty label")
    assert run(["data", "check", str(root)]) == 1
    assert "SEG101 error" in capsys.readouterr().out


def test_json_is_all_that_stdout_holds(root, capsys):
    plant(root, "an empty label")
    assert run(["data", "check", str(root), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["check_pass"] is False
    (finding,) = result["findings"]
    assert finding["code"] == "SEG101"
    assert (finding["file"], finding["line"], finding["split"]) == (corpus.LABEL, 4, "train")


def test_a_folder_that_is_no_dataset_ends_with_2(tmp_path):
    assert run(["data", "check", str(tmp_path / "none")]) == 2
    assert run(["data", "check", str(tmp_path)]) == 2


def test_options_say_how_samples_are_read(root):
    plant(root, "masks of 0 and 255 everywhere")
    assert run(["data", "check", str(root)]) == 1
    assert run(["data", "check", str(root), "-o", "data.label_map={255: 1}"]) == 0


# -- baselines


def test_a_baseline_accepts_what_is_known_and_nothing_else(root, tmp_path, capsys):
    plant(root, "an empty label")
    known = tmp_path / "known.json"
    assert run(["data", "check", str(root), "--write-baseline", str(known)]) == 1
    assert run(["data", "check", str(root), "--baseline", str(known)]) == 0
    assert "1 known findings accepted" in capsys.readouterr().out
    (root / corpus.label_name(5)).write_bytes(b"")
    result = check_dataset(root, baseline=read_baseline(known))
    assert [(finding.code, finding.file) for finding in result.findings] == [
        ("SEG101", corpus.label_name(5))
    ]
    assert result.accepted == 1


def test_a_baseline_tells_classes_apart(root, tmp_path):
    plant(root, "a class that never occurs")
    write_baseline(tmp_path / "known.json", check_dataset(root, remember=True).seen)
    corpus.put_labels(corpus.without(2))(root)
    result = check_dataset(root, baseline=read_baseline(tmp_path / "known.json"))
    assert [f.message for f in result.findings if f.code == "SEG302"] == [
        "class 2 (disc): occurs in no label."
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 9, "findings": []}'])
def test_another_file_is_no_baseline(tmp_path, text):
    (tmp_path / "known.json").write_text(text)
    with pytest.raises(RequestError, match="baseline"):
        read_baseline(tmp_path / "known.json")


# -- likeness


def test_another_compression_is_like_and_another_picture_is_not():
    from segcore.data.inspection.likeness import fingerprint, near_pairs

    grey = [corpus.picture(number, 240, 320)[..., 1] for number in range(40)]
    ours = np.stack([fingerprint(each) for each in grey])
    again = np.stack(
        [fingerprint(np.array(Image.fromarray(each).resize((200, 150)))) for each in grey[:5]]
    )
    assert list(near_pairs(ours, again)) == [(i, i) for i in range(5)]
    others = [fingerprint(corpus.picture(100 + i, 240, 320)[..., 1]) for i in range(40)]
    assert list(near_pairs(ours, np.stack(others))) == []


def test_flat_pictures_have_no_fingerprint():
    from segcore.data.inspection.likeness import fingerprint

    assert fingerprint(np.full((64, 64), 90, np.uint8)) is None


# -- scale


MEASURE = """
import sys
from segcore.data.check import check_dataset
result = check_dataset(sys.argv[1], workers=0)
with open("/proc/self/status") as status:  # ru_maxrss would begin with the peak of the parent
    peak = int(next(line.split()[1] for line in status if line.startswith("VmHWM")))
missing = sum(finding.count for finding in result.findings if finding.code == "SEG007")
print(peak, result.census.splits[0].samples, missing)
"""


@pytest.mark.slow
def test_a_row_costs_so_little_that_a_million_need_less_than_500_mb(root):
    rows = 400_000
    with (root / "train.txt").open("w") as file:
        for number in range(rows):
            file.write(f"images/frame_{number:09}.jpg annotations/frame_{number:09}.png\n")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(root)], check=True, capture_output=True, text=True
    )
    peak_kib, samples, missing = map(int, done.stdout.split())
    assert (samples, missing) == (rows, 2 * rows)
    assert peak_kib < 0.4 * 500 * 1024  # the interpreter included


def test_a_copied_dataset_is_checked_anew(root, tmp_path, monkeypatch):
    check_dataset(root)
    copy = shutil.copytree(root, tmp_path / "copy")
    (copy / corpus.LABEL).write_bytes(b"")
    assert codes(check_dataset(copy, config=DataConfig())) == ["SEG101"]
