import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segcore.data.listfile import format_row, read_class_list, read_rows
from segcore.errors import ListFileError


def classes(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text, encoding="utf-8")
    return read_class_list(path)


def test_classes_are_lines_in_order(tmp_path):
    assert classes(tmp_path, "background\ntraffic light\n").names == ("background", "traffic light")


def test_colours_are_read_in_both_spellings(tmp_path):
    listed = classes(tmp_path, "sky #0080ff\ntraffic light 250 170 30\nroad\n")
    assert listed.names == ("sky", "traffic light", "road")
    assert listed.colours == ((0, 128, 255), (250, 170, 30), None)


def test_a_colour_above_255_is_refused(tmp_path):
    with pytest.raises(ListFileError, match=r"line 1: colour \[300, 0, 0\]"):
        classes(tmp_path, "sky 300 0 0\n")


def test_a_class_that_is_named_twice_is_refused(tmp_path):
    with pytest.raises(ListFileError, match="line 3: class 'a' is already class 0"):
        classes(tmp_path, "a\nb\na\n")


def test_a_list_without_classes_is_refused(tmp_path):
    with pytest.raises(ListFileError, match="names no classes"):
        classes(tmp_path, "# nothing\n")


def test_a_list_that_is_missing_is_refused_with_its_name(tmp_path):
    with pytest.raises(ListFileError, match=r"nowhere\.txt: cannot be read"):
        list(read_rows(tmp_path / "nowhere.txt"))


def test_rows_know_their_lines(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# images\n\na.jpg a.png\n\nb.jpg b.png\n")
    assert [row.line for row in read_rows(path)] == [3, 5]


def test_ordinary_names_are_written_without_quotes():
    assert format_row("images/a.jpg", "annotations/a.png") == "images/a.jpg annotations/a.png"


def check_round_trip(pairs):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        text = "".join(f"{format_row(*pair)}\n" for pair in pairs)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert [row[:2] for row in read_rows(path)] == pairs


# any name that Linux can hold: bytes without NUL, seen through surrogate escapes
names = st.binary(min_size=1, max_size=30).map(
    lambda data: data.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
pairs = st.lists(st.tuples(names | texts, names | texts), max_size=8)


@settings(max_examples=60, deadline=None, database=None)
@given(pairs)
@example([("\udcfe\udcff", "x")])
@example([("\udcff\udcfe", "x")])
def test_any_names_come_back_from_a_list(pairs):
    check_round_trip(pairs)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None)
@given(pairs)
def test_a_great_many_names_come_back_from_a_list(pairs):
    check_round_trip(pairs)


def check_any_text(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes(data)
        try:
            assert all(row.image and row.line > 0 for row in read_rows(path))
        except ListFileError as error:
            assert "list.txt" in str(error)  # noqa: PT017 - either outcome is right


lines = st.lists(st.binary(max_size=12) | st.sampled_from([b"a b", b"\t", b'"', b"\xef\xbb\xbf"]))
files = lines.map(b"\n".join)


@settings(max_examples=100, deadline=None, database=None)
@given(files)
def test_any_bytes_give_rows_or_one_named_refusal(data):
    check_any_text(data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None)
@given(files)
def test_a_great_many_bytes_give_rows_or_one_named_refusal(data):
    check_any_text(data)
