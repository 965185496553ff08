"""Unpack archives from strangers: `.tar`, `.tar.gz`, `.tgz` and `.zip`.

An archive holds plain files and folders, and nothing else: links and devices are refused, wherever
they lead. Names stay below the folder, none comes twice, and what is unpacked is counted while it
is written, so that lies in headers do not help. The folder gets its name when all is there.

That is stricter than the `data` filter of `tarfile`, which keeps links, and it is the same in all
versions of Python, of which the older ones do not have the filter.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile  # noqa: TID251  the one place: nothing is extracted by tarfile itself
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from segcore.checkpoint.files import (
    DISK,
    Files,
    storage_errors,
    temporary_name,
)
from segcore.checkpoint.ownership import Guard, first_in
from segcore.errors import WeightsError
from segcore.filesystem import open_regular
from segcore.foreign import foreign_errors

__all__ = ["ArchiveLimits", "is_archive", "unpack"]

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_PIECE_BYTES = 1 << 20
_HEADER_BYTES = 1 << 20  # for one member: long names and extended headers are read into memory
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22
_ENCRYPTED = 1


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much may come out of an archive; small ones may be packed as tightly as they like."""

    max_bytes: int = 4 * 2**30
    max_ratio: int = 100
    free_bytes: int = 2**20
    max_members: int = 10_000
    max_name_bytes: int = 1024
    max_part_bytes: int = 255


@dataclass(frozen=True)
class _Member:
    """A file or folder of an archive, unread; `size` is what the archive says."""

    name: str
    is_folder: bool
    size: int
    content: Iterator[bytes]


class _Unsafe(WeightsError):  # noqa: N818  what is unsafe is the archive
    """The archive is not unpacked; the text says why."""


def is_archive(name: str) -> bool:
    """Say whether a file of that name is unpacked before use."""
    return name.lower().endswith(_SUFFIXES)


def unpack(
    archive: Path, target: Path, *, limits: ArchiveLimits | None = None, files: Files = DISK
) -> None:
    """Unpack the file `archive` into the new folder `target`, as a whole or not at all.

    Raises OutputError when `target` holds something, WeightsError when the archive is damaged or
    unsafe, StorageError when the files cannot be written.
    """
    Guard().check_folder(target, first_in)
    limits = limits or ArchiveLimits()
    temporary = target.with_name(temporary_name("archive"))

    def refuse(reason: str) -> WeightsError:
        return WeightsError(f"{archive}: is damaged, or no archive: {reason}")

    try:
        with storage_errors(target):
            files.mkdir(temporary)
        with foreign_errors(refuse):
            _write_members(archive, temporary, limits, files)
        Guard().replace_folder(temporary, target, first_in, files)
    except _Unsafe as error:
        raise WeightsError(f"{archive}: is not unpacked: {error}") from error
    finally:
        with storage_errors(target):
            files.remove_tree(temporary)


def _write_members(archive: Path, folder: Path, limits: ArchiveLimits, files: Files) -> None:
    with storage_errors(archive):
        packed = archive.stat().st_size
    budget = max(limits.free_bytes, min(limits.max_bytes, packed * limits.max_ratio))
    seen: set[str] = set()
    used = 0
    for count, member in enumerate(_members(archive, limits, budget), 1):
        if count > limits.max_members:
            raise _Unsafe(f"it has more than {limits.max_members} members")
        path = folder.joinpath(*_checked_parts(member.name, limits))
        key = str(path).casefold()
        if key in seen and not (member.is_folder and path.is_dir()):
            raise _Unsafe(f"{member.name!r:.80} comes twice")
        seen.add(key)
        used += member.size
        if used > budget:
            raise _Unsafe(
                f"it would grow from {packed / 2**20:,.1f} to more than {budget / 2**20:,.0f} MiB"
            )
        _make_folders(path if member.is_folder else path.parent, folder, files)
        if not member.is_folder:
            with storage_errors(path):
                files.write_file(path, _counted(member))


def _counted(member: _Member) -> Iterator[bytes]:
    """Pass the content on, as long as it keeps to the size that the archive said."""
    left = member.size
    for piece in member.content:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left != 0:
        raise _Unsafe(f"{member.name!r:.80} is not as large as the archive says")


def _make_folders(path: Path, root: Path, files: Files) -> None:
    for folder in (*reversed(path.relative_to(root).parents), path.relative_to(root)):
        place = root / folder
        if not place.exists():
            with storage_errors(place):
                files.mkdir(place)
        elif not place.is_dir():
            raise _Unsafe(f"{folder} is both a file and a folder")


def _checked_parts(name: str, limits: ArchiveLimits) -> list[str]:
    """Take a member's name apart. Raises _Unsafe for one that leads elsewhere."""
    shown = repr(name[:80])
    size = len(name.encode("utf-8", "surrogateescape"))
    if size > limits.max_name_bytes:
        raise _Unsafe(f"a name of {size} bytes: {shown}...")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name.partition("/")[0]:
        raise _Unsafe(f"{shown} leads out of its folder")
    if not name.isprintable():
        raise _Unsafe(f"the name {shown} has characters that no name should have")
    if any(len(part.encode("utf-8")) > limits.max_part_bytes for part in parts):
        raise _Unsafe(f"a name too long for a file: {shown}...")
    return parts


# -- formats ---------------------------------------------------------------------------------------


def _members(archive: Path, limits: ArchiveLimits, budget: int) -> Iterator[_Member]:
    with open_regular(archive) as file:
        head = file.read(4)
        file.seek(0)
        if head[:2] == b"PK":
            yield from _zip_members(file, limits)
        elif head[:2] == b"\x1f\x8b":
            with gzip.open(file) as unpacked:
                yield from _tar_members(unpacked, budget)
        else:
            yield from _tar_members(file, budget)


class _Metered(io.RawIOBase):
    """Reads that come to an end: at `left` bytes, which is set anew for every member."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile) -> None:
        self.source = source
        self.left = 0

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise _Unsafe("a header is larger than any should be")
        return data


def _tar_members(source: IO[bytes] | gzip.GzipFile, budget: int) -> Iterator[_Member]:
    metered = _Metered(source)
    metered.left = _HEADER_BYTES
    with tarfile.open(fileobj=metered, mode="r|") as tar:
        while True:
            metered.left = _HEADER_BYTES
            member = tar.next()
            if member is None:
                return
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _Unsafe(f"{member.name[:80]!r} is neither a file nor a folder")
            if not 0 <= member.size <= budget:
                raise _Unsafe(f"{member.name[:80]!r} would take {member.size} bytes")
            metered.left = member.size + _HEADER_BYTES
            content = tar.extractfile(member) if member.isreg() else None
            yield _Member(member.name, member.isdir(), member.size, _pieces(content))


def _zip_members(file: IO[bytes], limits: ArchiveLimits) -> Iterator[_Member]:
    _check_directory(file, limits)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _Unsafe(f"{info.filename[:80]!r} is neither a file nor a folder")
            if info.flag_bits & _ENCRYPTED:
                raise _Unsafe(f"{info.filename[:80]!r} is encrypted")
            if info.is_dir():
                yield _Member(info.filename, True, 0, iter(()))
                continue
            with archive.open(info) as content:
                yield _Member(info.filename, False, info.file_size, _pieces(content))


def _check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Look at the end of a zip, which says how long its list of members is, before that is read."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_OF_ZIP_BYTES - 0xFFFF))
    tail = file.read()
    file.seek(0)
    position = tail.rfind(_END_OF_ZIP)
    if position < 0 or len(tail) - position < _END_OF_ZIP_BYTES:
        raise zipfile.BadZipFile("it has no list of members")
    members, directory_bytes = struct.unpack_from("<HI", tail, position + 10)
    if members > limits.max_members or directory_bytes > limits.max_members * 256:
        raise _Unsafe(f"it has more than {limits.max_members} members")


def _pieces(content: IO[bytes] | None) -> Iterator[bytes]:
    while content is not None and (piece := content.read(_PIECE_BYTES)):
        yield piece
