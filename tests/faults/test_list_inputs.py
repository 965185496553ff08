"""Lists, names and trees that are wrong or odd (rows 37 to 45 of the table of bad inputs)."""

import os
import socket
import sys
import tracemalloc

import cv2
import numpy as np
import pytest

from segcore.config.schema import DataConfig
from segcore.data.listfile import format_row, read_rows
from segcore.data.paths import inside, printable, read_file
from segcore.data.segdataset import SegDataset
from segcore.errors import DataError, ListFileError

PIXELS = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()

NAMES = [
    "two words.png",
    "tab\there.png",
    "#1.png",
    "a#b.png",
    'say "hi".png',
    '"quoted".png',
    "line\nbreak.png",
    "carriage\rreturn.png",
    "-rf.png",
    "\N{GRINNING FACE}.png",
    "\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}gnp.png",
    "n" * 251 + ".png",
    "\u00e9.png",
    "e\u0301.png",
    "\ufeffmark.png",
    " outer .png",
    "back\\slash.png",
    "wide\u3000space.png",
    os.fsdecode(b"latin-\xe9.png"),
]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    return root


def write(root, *names, split="train"):
    """Write one file for each name, listed as image and label."""
    for name in names:
        (root / name).write_bytes(PIXELS)
    rows = "".join(f"{format_row(name, name)}\n" for name in names)
    (root / f"{split}.txt").write_bytes(os.fsencode(rows))


def opened(root, split="train", **config):
    return SegDataset(root, split, DataConfig(num_classes=2, **config))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_row_37_an_entry_outside_the_folder_is_refused(root, name):
    (root.parent / "secret.png").write_bytes(PIXELS)
    (root / "a").mkdir()
    (root / "train.txt").write_text(f"{name} {name}\n")
    with pytest.raises(DataError, match="leaves the dataset folder"):
        opened(root)


def test_row_37_an_entry_outside_is_used_with_permission(root):
    (root.parent / "shared.png").write_bytes(PIXELS)
    (root / "train.txt").write_text("../shared.png ../shared.png\n")
    assert opened(root, allow_outside=True).load(0).size == (8, 8)


def test_row_38_a_link_that_leads_outside_is_refused(root):
    (root.parent / "secret.png").write_bytes(PIXELS)
    (root / "link.png").symlink_to(root.parent / "secret.png")
    with pytest.raises(DataError, match="leaves the dataset folder"):
        inside(root, "link.png")


def test_row_38_a_linked_folder_that_leads_outside_is_refused(root):
    (root.parent / "other").mkdir()
    (root / "images").symlink_to(root.parent / "other")
    with pytest.raises(DataError, match="leaves the dataset folder"):
        inside(root, "images/a.png")


def test_row_38_a_link_within_the_folder_is_used(root):
    (root / "a.png").write_bytes(PIXELS)
    (root / "link.png").symlink_to("a.png")
    assert inside(root, "link.png") == str((root / "a.png").resolve())


def test_row_38_links_in_a_loop_are_refused(root):
    (root / "a.png").symlink_to("b.png")
    (root / "b.png").symlink_to("a.png")
    with pytest.raises(DataError, match="form a loop"):
        inside(root, "a.png")


def test_row_38_a_dataset_behind_a_link_is_used(root):
    write(root, "a.png")
    link = root.parent / "link"
    link.symlink_to(root)
    assert len(opened(link)) == 1


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize("make", [make_pipe, make_socket, os.mkdir])
def test_row_39_what_is_no_regular_file_is_refused_without_waiting(root, make, monkeypatch):
    monkeypatch.chdir(root)  # names of sockets are limited to 108 bytes
    make("odd.png")
    with pytest.raises(DataError, match="not a regular file"):
        read_file(root / "odd.png", "odd.png")
    (root / "train.txt").write_text("odd.png odd.png\n")
    with pytest.raises(DataError, match="not a regular file"):
        opened(root)


def test_row_39_a_device_is_refused():
    with pytest.raises(DataError, match="not a regular file but a device"):
        read_file("/dev/zero", "zero.png")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_rows_40_and_41_every_name_of_the_system_can_be_listed(root, name):
    write(root, name)
    dataset = opened(root)
    assert dataset.load(0).size == (8, 8)
    assert dataset.describe(0).isprintable()
    assert len(dataset.fingerprint()) == 64


def test_row_40_undecodable_and_control_characters_are_escaped_for_showing():
    shown = printable(os.fsdecode(b"a\xe9\x1b[31m.png"))
    assert shown == "a\\udce9\\x1b[31m.png"
    shown.encode("ascii")


def test_row_41_a_plain_name_with_spaces_stands_before_a_tab(root):
    (root / "list.txt").write_text("two words.png\tits label.png\n")
    assert [row[:2] for row in read_rows(root / "list.txt")] == [("two words.png", "its label.png")]


@pytest.mark.parametrize("row", ["two words.png label.png", "a.png b.png c.png d.png"])
def test_row_41_too_many_fields_say_which_separator_to_use(root, row):
    (root / "list.txt").write_text(f"a.png b.png\n{row}\n")
    with pytest.raises(ListFileError, match=r"list\.txt, line 2: . fields .*tab.*double quotes"):
        list(read_rows(root / "list.txt"))


@pytest.mark.parametrize("row", ['"a.png b.png', 'a.png "b.png', '"a"b.png c.png', '"\\x" b.png'])
def test_row_41_broken_quotes_are_refused(root, row):
    (root / "list.txt").write_text(f"{row}\n")
    with pytest.raises(ListFileError, match="line 1"):
        list(read_rows(root / "list.txt"))


@pytest.mark.parametrize(
    "data",
    [
        b"a b\r\nc d\r\n",
        b"a b\rc d\r",
        b"\xef\xbb\xbfa b\nc d\n",
        b"a b\nc d",
        b"\n\na b\n  \n\t\nc d\n\n",
        b"# comment\na b\n# another one\nc d\n",
        b"a\tb\nc\t\td\n",
        b"  a   b  \nc d\t\n",
        b'"a" "b"\n"c"\t"d"\n',
    ],
    ids=["crlf", "cr", "bom", "no end", "blank", "comments", "tabs", "spaces", "quotes"],
)
def test_row_42_line_ends_marks_and_comments_are_accepted(root, data):
    (root / "list.txt").write_bytes(data)
    assert [row[:2] for row in read_rows(root / "list.txt")] == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_row_42_other_encodings_are_refused_by_name(root, encoding):
    (root / "list.txt").write_bytes("a.png b.png\n".encode(encoding))
    with pytest.raises(ListFileError, match=r"list\.txt: looks like UTF-16"):
        list(read_rows(root / "list.txt"))


def test_row_43_a_row_that_stands_twice_is_refused_with_both_lines(root):
    write(root, "a.png", "b.png", "a.png")
    with pytest.raises(ListFileError, match=r"a\.png \(lines 1 and 3\)"):
        opened(root)


def test_row_43_a_row_that_stands_twice_is_used_with_permission_and_a_warning(root):
    write(root, "a.png", "b.png", "a.png")
    dataset = opened(root, allow_duplicates=True)
    assert len(dataset) == 3
    assert "a.png" in dataset.warnings[0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_row_43_an_image_of_train_and_val_is_refused(root, split):
    write(root, "a.png", "b.png")
    write(root, "c.png", "b.png", split="val")
    with pytest.raises(DataError, match=r"1 images are listed in .*b\.png"):
        opened(root, split)


def test_row_43_another_spelling_of_the_same_path_is_found(root):
    write(root, "a.png")
    (root / "val.txt").write_text("./a.png a.png\n")
    with pytest.raises(DataError, match="1 images are listed in"):
        opened(root, "val")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n"])
def test_row_44_an_empty_list_is_refused(root, text):
    (root / "train.txt").write_text(text)
    with pytest.raises(ListFileError, match="lists no images"):
        opened(root)


def test_row_44_one_row_is_a_dataset(root):
    write(root, "a.png")
    assert len(opened(root)) == 1


def test_row_45_a_long_list_is_streamed(root):
    line = f"{'i' * 60}.png {'l' * 60}.png\n"
    (root / "list.txt").write_text(line * 20_000)
    tracemalloc.start()
    count = sum(1 for _ in read_rows(root / "list.txt"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2**19  # the file has 2.6 MB


def test_row_45_a_kept_row_takes_less_than_a_kilobyte(root):
    (root / "list.txt").write_text(f"{'i' * 120}.png {'l' * 120}.png\n")
    row = next(read_rows(root / "list.txt"))
    assert sys.getsizeof(row) + sum(map(sys.getsizeof, row)) < 1000


def test_a_line_without_end_is_refused_before_it_fills_the_memory(root):
    (root / "list.txt").write_bytes(b"a" * 10**6)
    with pytest.raises(ListFileError, match="line 1: longer than"):
        list(read_rows(root / "list.txt"))
