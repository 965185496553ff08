"""Whatever a name says and whatever stands there, the answer is one of ours, and at once."""

import errno
import os
import socket
from pathlib import Path

import pytest

from segcore.errors import PathError
from segcore.filesystem import (
    NotRegularError,
    exists,
    file_status,
    is_file,
    is_folder,
    is_link,
    list_names,
    list_tree,
    open_regular,
    read_regular,
    real_path,
    walk,
)

LOOKS = (exists, is_file, is_folder, list_names)


def test_what_stands_there_is_told(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    assert [look(tmp_path / "a") for look in LOOKS[:3]] == [True, True, False]
    assert [look(tmp_path) for look in LOOKS] == [True, False, True, ["a"]]
    assert not any(look(tmp_path / "b") for look in LOOKS)
    assert not any(look(tmp_path / "a" / "b") for look in LOOKS)
    assert read_regular(tmp_path / "a") == b"text"


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "a\0b", "a\ud800"])
@pytest.mark.parametrize("look", LOOKS)
def test_a_name_that_no_file_can_have_is_said_to_be_wrong(look, name, tmp_path):
    with pytest.raises(PathError, match="Correct the name") as caught:
        look(tmp_path / name)
    assert len(str(caught.value)) < 600
    str(caught.value).encode()
    for ask in (open_regular, file_status):
        with pytest.raises(OSError, match=r"hold such characters|too long"):
            ask(tmp_path / name)
    assert not is_link(tmp_path / name)


def test_a_tree_is_listed_with_its_links_and_not_through_them(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").touch()
    (tmp_path / "c").symlink_to("a")
    names = [path.relative_to(tmp_path).as_posix() for path in list_tree(tmp_path)]
    assert names == ["a", "a/b", "a/b/file", "c"]
    assert [is_link(tmp_path / name) for name in names] == [False, False, False, True]
    assert list_tree(tmp_path / "missing") == []


@pytest.mark.parametrize("look", [list_tree, lambda folder: list(walk(folder))])
def test_a_folder_that_cannot_be_entered_is_not_left_out(look, tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(place):
        if os.fspath(place).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PathError, match="closed: Permission denied"):
        look(tmp_path)


def test_links_in_a_circle_lead_nowhere(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert not any(look(tmp_path / "a") for look in LOOKS)
    assert isinstance(real_path(tmp_path / "a"), Path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM])
def test_a_system_that_refuses_is_quoted(code, monkeypatch):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(PathError, match=os.strerror(code)):
        exists("a")


def test_pipes_sockets_devices_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for place, kind in (
            (tmp_path / "pipe", "a named pipe"),
            (tmp_path / "socket", "a socket"),
            (Path("/dev/zero"), "a device"),
            (tmp_path, "a folder"),
        ):
            assert not is_file(place)
            with pytest.raises(NotRegularError, match=f"not a regular file but {kind}"):
                read_regular(place)


def test_more_than_is_wanted_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="no more than 1000 are read"):
        read_regular(tmp_path / "a", 1000)
