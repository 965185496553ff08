"""What may be written over, and what never is."""

import contextlib
import os
import signal
from itertools import count

import pytest

from segcore.checkpoint.files import _owner
from segcore.checkpoint.ownership import Guard, first_in, is_marked, marked_by
from segcore.errors import OutputError
from segcore.testing.faults import KillAt, run_forked

MARK = "segcore test"
OWN = b'{\n  "written_by": "segcore test",\n  "a": 1\n}'
IS_OURS = marked_by(MARK)


def write(path, data=b"precious"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def snapshot(root):
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(root.rglob("*"))}


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (OWN, True),
        (b'{"written_by":"segcore test"}', True),
        (b'{"written_by": "segcore tests"}', False),
        (b'{"a": 1, "written_by": "segcore test"}', False),
        (b'[{"written_by": "segcore test"}]', False),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0dtEXtSoftware\0segcore test\0\0", True),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0dtEXtComment\0segcore test\0\0", False),
        (b"\xff\xd8\xff\xe0JFIF\xff\xfe\0\x0esegcore test\xff\xdb", True),
        (b"\xff\xd8\xff\xe0JFIF\xff\xe1\0\x0esegcore test\xff\xdb", False),
        (b'<!doctype html>\n<meta name="generator" content="segcore test">', True),
        (b'<html><meta name="generator" content="segcore test">', False),
        (b"segcore test", False),
        (b"", False),
    ],
)
def test_a_mark_counts_in_its_place_alone(head, answer):
    assert is_marked(head, MARK) is answer


def test_new_files_and_files_of_ours_are_written(tmp_path):
    guard = Guard()
    guard.write_file(tmp_path / "deep/er/a.json", OWN, IS_OURS)
    guard.write_file(tmp_path / "deep/er/a.json", OWN + b"\n", IS_OURS)
    assert (tmp_path / "deep/er/a.json").read_bytes() == OWN + b"\n"


def run_with_checkpoint(root):
    write(root / "run/checkpoints/step-3/MANIFEST.json")
    return root / "run"


@pytest.mark.parametrize("name", ["step-3/a.png", "a.png", "new/er/a.png", "step-3/MANIFEST.json"])
@pytest.mark.parametrize("force", [False, True])
def test_checkpoints_get_no_files_of_other_commands(name, force, tmp_path):
    run = run_with_checkpoint(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="checkpoint"):
        Guard(force=force).write_file(run / "checkpoints" / name, OWN, IS_OURS)
    with pytest.raises(OutputError, match="checkpoint"):
        Guard(force=force).check_folder(run / "checkpoints" / name, lambda _: None)
    assert snapshot(tmp_path) == before


def test_a_folder_that_is_called_checkpoints_is_no_run_by_that(tmp_path):
    for _ in range(2):
        Guard().write_file(tmp_path / "checkpoints/a.json", OWN, IS_OURS)


def strangers(root):
    """Places with something of the user's, by what it is."""
    write(root / "elsewhere", OWN)
    (root / "link").symlink_to(root / "elsewhere")
    (root / "dangling").symlink_to(root / "nowhere")
    return {
        "file": write(root / "file"),
        "empty file": write(root / "empty", b""),
        "link to a file of ours": root / "link",
        "link to nothing": root / "dangling",
    }


def test_files_of_strangers_stay_unless_forced(tmp_path):
    for name, path in strangers(tmp_path).items():
        before = snapshot(tmp_path)
        for guard in (Guard(), Guard(force=False)):
            with pytest.raises(OutputError, match="is not what this command writes") as refusal:
                guard.write_file(path, OWN, IS_OURS)
            assert ("--force" in str(refusal.value)) is (guard._force is False), name
            assert refusal.value.exit_code == 2
            assert snapshot(tmp_path) == before, name
        Guard(force=True).write_file(path, OWN, IS_OURS)
        assert path.read_bytes() == OWN
        assert not path.is_symlink()
        assert not (tmp_path / "nowhere").exists()


def test_a_folder_and_a_pipe_are_never_replaced_by_a_file(tmp_path):
    write(tmp_path / "folder" / "a")
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(OutputError, match=name):
            Guard(force=True).check_file(tmp_path / name)


def names_of_one_file(path):
    """The file `path` under other names; some only work where case does not count."""
    folder = path.parent
    (folder / "symlink").symlink_to(path)
    (folder / "hardlink").hardlink_to(path)
    (folder / "sub").mkdir()
    (folder.parent / "folder-link").symlink_to(folder)
    found = [
        path,
        folder / "symlink",
        folder / "hardlink",
        folder / "sub" / ".." / path.name,
        folder.parent / "folder-link" / path.name,
        path.with_name(path.name.upper()),
    ]
    return [name for name in found if name.exists()]


@pytest.mark.parametrize("content", [b"precious", OWN])
def test_an_input_is_never_replaced_under_any_of_its_names(tmp_path, content):
    path = write(tmp_path / "in" / "photo.png", content)
    names = names_of_one_file(path)
    assert len(names) >= 5
    for given in names:
        for name in names:
            with pytest.raises(OutputError, match=r"an input of this\s+command"):
                Guard([given], force=True).write_file(name, OWN, IS_OURS)
    assert path.read_bytes() == content


def test_in_a_folder_of_inputs_only_what_is_ours_is_replaced(tmp_path):
    own, other = write(tmp_path / "data/own.json", OWN), write(tmp_path / "data/a/b.json")
    guard = Guard([tmp_path / "data"], force=True)
    guard.write_file(own, OWN, IS_OURS)
    guard.write_file(tmp_path / "data/new.json", OWN, IS_OURS)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for path in (other, tmp_path / "link/a/b.json", tmp_path / "data/a/../a/b.json"):
        with pytest.raises(OutputError, match="which this command reads"):
            guard.write_file(path, OWN, IS_OURS)


def test_files_of_a_run_are_never_replaced(tmp_path):
    write(tmp_path / "run/config.yaml")
    for name in ("config.yaml", "train_result.json", "best_model/a.json", "run.id"):
        path = write(tmp_path / "run" / name)
        with pytest.raises(OutputError, match="belongs to the run"):
            Guard(force=True).check_file(path)
        Guard(force=True, run=tmp_path / "run").check_file(path)
    Guard(force=True).check_file(write(tmp_path / "run/notes.json"))


def find_stranger(folder):
    return next((path for path in sorted(folder.rglob("*")) if path.name != "own"), None)


def test_a_folder_is_replaced_where_it_is_missing_empty_or_ours(tmp_path):
    for name in ("missing", "empty", "own"):
        folder = tmp_path / name
        if name != "missing":
            folder.mkdir()
        if name == "own":
            write(folder / "own")
        source = write(tmp_path / "source" / "new").parent
        Guard([tmp_path]).replace_folder(source, folder, find_stranger)
        assert [path.name for path in folder.iterdir()] == ["new"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_of_a_replacement_that_was_killed_the_next_command_leaves_nothing(tmp_path, when):
    for n in count(1):
        room = tmp_path / str(n)
        source, final = room / "source", room / "final"
        write(source / "a")
        final.mkdir()
        killer = KillAt(n, when)
        replace = lambda: Guard().replace_folder(source, final, first_in, killer)  # noqa: B023, E731
        status = run_forked(replace)
        with contextlib.suppress(OutputError):  # it may be complete, and is no empty folder then
            Guard().check_folder(final, first_in)
        assert {path.name for path in room.iterdir()} <= {"source", "final"}
        if status != -signal.SIGKILL:
            break
    assert (n > 3, status, (final / "a").exists()) == (True, 0, True)


def test_a_replacement_that_is_under_way_is_left_alone(tmp_path):
    final = tmp_path / "final"
    final.mkdir()
    rests = []
    for process in (os.getppid(), os.getpid()):  # one runs, and this one works on nothing else
        rest = tmp_path / f".new-final-{process}-{_owner(process)}{process % 10**8:08d}"
        write(rest / "a")
        rests.append(rest)
    Guard().check_folder(final, first_in)
    assert all(rest.exists() for rest in rests)
    write(rests[0] / "a").unlink()
    rests[0].rmdir()
    Guard().check_folder(final, first_in)
    assert not rests[1].exists()


def test_no_other_folder_is_replaced(tmp_path, monkeypatch):
    home, here = tmp_path / "home/me", tmp_path / "here/deep"
    for folder in (
        home,
        here,
        tmp_path / "inputs/deep",
        tmp_path / "mixed",
        tmp_path / "run/best_model",
    ):
        folder.mkdir(parents=True)
    write(tmp_path / "run/config.yaml")
    write(tmp_path / "mixed/own")
    write(tmp_path / "mixed/thesis.txt")
    (tmp_path / "link").symlink_to(tmp_path / "inputs")
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    cases = {
        ".": "current folder",
        "..": "current folder",
        str(here): "current folder",
        str(tmp_path / "home"): "home folder",
        "/": "current folder",
        str(tmp_path / "inputs"): "which this command reads",
        str(tmp_path / "inputs/deep/"): "which this command reads",
        str(tmp_path / "mixed"): r"holds thesis\.txt",
        str(tmp_path / "link"): "is a symbolic link",
        str(tmp_path / "mixed/own"): "is a file",
        str(tmp_path / "run/best_model"): "belongs to the run",
    }
    before = snapshot(tmp_path)
    for name, reason in cases.items():
        guard = Guard([tmp_path / "inputs/deep"], force=True)
        with pytest.raises(OutputError, match=reason):
            guard.replace_folder(
                tmp_path / "source",
                type(home)(name),
                lambda folder: None if folder.name == "best_model" else find_stranger(folder),
            )
        assert snapshot(tmp_path) == before
