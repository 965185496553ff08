"""Single files and folders are written whole or not at all."""

import re

import pytest

from segcore.checkpoint.files import (
    append,
    finish_replacement,
    prepare_output,
    replace_folder,
    temporary_name,
    write_atomic,
)
from segcore.errors import OutputError, StorageError
from segcore.testing.faults import CHANGES, FailAt, Recorder, after_power_loss


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_nothing_else_is_left(tmp_path):
    write_atomic(tmp_path / "a", b"one")
    write_atomic(tmp_path / "a", iter([b"tw", b"o"]))
    assert (tmp_path / "a").read_bytes() == b"two"
    assert names_in(tmp_path) == ["a"]


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    write_atomic(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


@pytest.mark.parametrize("n", range(1, 6))
def test_an_error_while_writing_keeps_the_old_content(tmp_path, n):
    (tmp_path / "a").write_bytes(b"old")
    files = FailAt(n, 28)
    with pytest.raises(StorageError, match=r"a: cannot be written: No space left.*MiB free"):
        write_atomic(tmp_path / "a", b"new", files)
    # The last operation flushes the folder: the new content has its name by then.
    assert (tmp_path / "a").read_bytes() == (b"new" if n == 5 else b"old")
    assert names_in(tmp_path) == ["a"]


def test_a_written_file_survives_a_power_cut(tmp_path):
    (tmp_path / "live").mkdir()
    recorder = Recorder(tmp_path / "live")
    write_atomic(tmp_path / "live" / "a", b"old", recorder)
    acknowledged = len(recorder.record)
    write_atomic(tmp_path / "live" / "a", b"new", recorder)
    for end in range(acknowledged, len(recorder.record) + 1):
        for n, luck in enumerate(({}, {"keep_names": True}, {"keep_data": True})):
            after_power_loss(recorder.record[:end], tmp_path / f"{end}-{n}", **luck)
            content = (tmp_path / f"{end}-{n}" / "a").read_bytes()
            assert content == b"new" or (content == b"old" and end < len(recorder.record))


def test_lines_are_appended(tmp_path):
    append(tmp_path / "log", b"one\n")
    append(tmp_path / "log", b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_temporary_names_of_the_same_second_differ():
    names = {temporary_name("step-1") for _ in range(100)}
    assert len(names) == 100


def make_folder(path, text):
    path.mkdir()
    (path / "x").write_text(text)
    return path


def test_a_folder_is_replaced_whole(tmp_path):
    final = make_folder(tmp_path / "inference", "old")
    (final / "stale").write_text("")
    replace_folder(make_folder(tmp_path / "fresh", "new"), final)
    assert (final / "x").read_text() == "new"
    assert names_in(final) == ["x"]
    assert names_in(tmp_path) == ["inference"]


def test_an_error_while_replacing_leaves_one_of_the_two_folders(tmp_path):
    outcomes = set()
    for n in range(1, 20):
        root = tmp_path / str(n)
        root.mkdir()
        final = make_folder(root / "inference", "old")
        files = FailAt(n, 5)
        try:
            replace_folder(make_folder(root / ".tmp", "new"), final, files)
        except StorageError:
            outcomes.add((files.struck in CHANGES, (final / "x").read_text()))
        assert [p for p in names_in(root) if p not in ("inference", ".tmp")] == []
    assert outcomes >= {(True, "old"), (True, "new")}


def test_replacing_keeps_clear_of_folders_of_the_user(tmp_path):
    final = make_folder(tmp_path / "model", "old")
    names = ("model.old", "model.new", ".model.old", ".model.new", ".old-model", ".new-model-1-z")
    for name in names:
        make_folder(tmp_path / name, name)
    replace_folder(make_folder(tmp_path / "fresh", "new"), final)
    finish_replacement(final)
    assert [(tmp_path / name / "x").read_text() for name in names] == list(names)


def test_a_folder_with_the_longest_name_is_replaced(tmp_path):
    final = make_folder(tmp_path / ("n" * 255), "old")
    replace_folder(make_folder(tmp_path / "fresh", "new"), final)
    assert (final / "x").read_text() == "new"
    assert names_in(tmp_path) == [final.name]


def test_the_next_replacement_finishes_one_that_was_cut_short(tmp_path):
    make_folder(tmp_path / temporary_name("model", "new"), "newer")
    make_folder(tmp_path / temporary_name("model", "old"), "old")
    finish_replacement(tmp_path / "model")
    assert names_in(tmp_path) == ["model"]
    assert (tmp_path / "model" / "x").read_text() == "newer"


def refused_outputs(root):
    (root / "file").write_text("precious")
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "precious").write_text("")
    (root / "link").symlink_to(root / "elsewhere")
    (root / "dangling").symlink_to(root / "nowhere")
    return {
        "file": "is a file, not a folder",
        "file/below": "cannot be written: Not a directory",
        "link": f"is a symbolic link to {re.escape(str(root / 'elsewhere'))}",
        "dangling": "is a symbolic link",
        "n" * 300: "cannot be written: File name too long",
    }


def test_outputs_that_cannot_be_used_are_refused_and_nothing_is_touched(tmp_path):
    cases = refused_outputs(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name, reason in cases.items():
        with pytest.raises(OutputError, match=reason) as caught:
            prepare_output(tmp_path / name)
        assert caught.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_is_made_with_its_parents(tmp_path):
    prepare_output(tmp_path / "a" / "b")
    assert names_in(tmp_path / "a" / "b") == []


def test_the_names_of_new_output_folders_are_flushed(tmp_path):
    recorder = Recorder(tmp_path)
    prepare_output(tmp_path / "a" / "b", recorder)
    synced = [operation.paths[0] for operation in recorder.record if operation.name == "sync"]
    assert synced == ["a", "."]
