"""Archives that want out of their folder, or to fill the disk (row 70 of the reliability table)."""

import contextlib
import gzip
import io
import stat
import struct
import tarfile
import zipfile

import pytest

from segcore.checkpoint.archive import ArchiveLimits, is_archive, unpack
from segcore.errors import WeightsError


def member(name, content=b"", **attributes):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def tar(path, *members, mode="w:gz", **options):
    with tarfile.open(path, mode, **options) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def unpacked(archive, **limits):
    """Unpack beside the archive, and give what is there by name."""
    target = archive.with_name("out")
    unpack(archive, target, limits=ArchiveLimits(**limits))
    files = [path for path in target.rglob("*") if path.is_file()]
    return {str(path.relative_to(target)): path.read_bytes() for path in files}


def refusal(archive, **limits):
    """Say why an archive is refused, and make sure that nothing of it is left anywhere."""
    before = set(archive.parent.rglob("*"))
    with pytest.raises(WeightsError) as caught:
        unpacked(archive, **limits)
    assert set(archive.parent.rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_and_folders_come_out(tmp_path, mode):
    folder = member("resnet", type=tarfile.DIRTYPE)
    archive = tar(tmp_path / "a.tar", folder, member("resnet/model.pdparams", b"ab"), mode=mode)
    assert unpacked(archive) == {"resnet/model.pdparams": b"ab"}


def test_a_zip_comes_out(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("resnet/", b""), ("resnet/model.pdparams", b"ab" * 5000))
    assert unpacked(archive) == {"resnet/model.pdparams": b"ab" * 5000}


def test_links_that_users_set_on_files_do_not_count(tmp_path):
    """Set-user bits and odd owners are not taken over."""
    archive = tar(tmp_path / "a.tar.gz", member("w", b"x", mode=0o6777, uid=0, uname="root"))
    unpacked(archive)
    assert (tmp_path / "out" / "w").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111) == 0


BAD_NAMES = ["../w", "a/../../w", "/etc/w", "C:/w", "a\\..\\w", "..", "a/..", "w\n", "\x1b[2Jw"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_out_are_refused(tmp_path, name):
    assert "is not unpacked" in refusal(tar(tmp_path / "a.tar.gz", member(name, b"x")))
    (tmp_path / "a.tar.gz").unlink()
    assert "is not unpacked" in refusal(zipped(tmp_path / "a.zip", (zipfile.ZipInfo(name), b"x")))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.parametrize("target", ["/etc/passwd", "../../w", "w"])
def test_links_and_devices_are_refused_wherever_they_lead(tmp_path, kind, target):
    link = member("link", type=kind, linkname=target)
    said = refusal(tar(tmp_path / "a.tar.gz", member("w", b"x"), link))
    assert "'link' is neither a file nor a folder" in said


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_zips_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("link")
    info.external_attr = (kind | 0o777) << 16
    assert "neither a file" in refusal(zipped(tmp_path / "a.zip", (info, b"/etc/passwd")))


@pytest.mark.parametrize("second", ["w", "./w", "W", "a/../w"])
def test_a_member_comes_once(tmp_path, second):
    said = refusal(tar(tmp_path / "a.tar.gz", member("w", b"x"), member(second, b"y")))
    assert "comes twice" in said or "leads out" in said


def test_a_member_comes_once_in_zips_too(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(tmp_path / "a.zip", ("w", b"x"), ("w", b"y"))
    assert "comes twice" in refusal(archive)


def test_a_file_is_no_folder(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", member("w", b"x"), member("w/model.pdparams", b"y"))
    assert "both a file and a folder" in refusal(archive)


def test_four_gigabytes_of_zeros_are_refused_before_they_come(tmp_path):
    info, _ = member("w")
    info.size = 4 << 30
    with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
        file.write(info.tobuf())
        file.write(bytes(1 << 20))
    assert "would take 4294967296 bytes" in refusal(tmp_path / "a.tar.gz")


def test_a_sum_of_members_counts(tmp_path):
    members = [member(f"w{number}", bytes(400_000)) for number in range(5)]
    assert "would grow from 0.0 to more than 1 MiB" in refusal(tar(tmp_path / "a.tar.gz", *members))


def test_the_ratio_of_zips_counts(tmp_path):
    said = refusal(zipped(tmp_path / "a.zip", ("w", bytes(3 << 20))))
    assert "to more than 1 MiB" in said


def test_a_zip_that_lies_about_a_size_is_noticed(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("w", b"x" * 1000))
    data = bytearray(archive.read_bytes())
    for at in (22, data.index(b"PK\x01\x02") + 24):  # the size stands in two places
        assert struct.unpack_from("<I", data, at) == (1000,)
        struct.pack_into("<I", data, at, 10)
    archive.write_bytes(data)
    refusal(archive)


def test_the_total_is_limited(tmp_path):
    archive = tar(tmp_path / "a.tar", member("w", b"x" * 3000), mode="w")
    assert "would take 3000 bytes" in refusal(archive, max_bytes=2000, free_bytes=0)


def test_a_million_members_are_too_many(tmp_path):
    members = [member(f"{number}") for number in range(30)]
    archive = tar(tmp_path / "a.tar.gz", *members)
    assert "more than 20 members" in refusal(archive, max_members=20)


def test_a_million_members_of_a_zip_are_not_even_listed(tmp_path):
    archive = zipped(tmp_path / "a.zip", *((f"{number}", b"") for number in range(30)))
    assert "more than 20 members" in refusal(archive, max_members=20)
    data = bytearray(archive.read_bytes())
    struct.pack_into("<HH", data, len(data) - 14, 1, 1)  # claims to have one
    archive.write_bytes(data)
    assert "more than 20 members" in refusal(archive, max_members=20)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["x" * 4000, "a/" * 2000 + "w", "x" * 300])
def test_a_name_of_thousands_of_bytes_is_refused(tmp_path, form, name):
    archive = tar(tmp_path / "a.tar.gz", member(name, b"x"), format=form)
    assert "name" in refusal(archive)


def test_a_header_that_fills_the_memory_is_refused(tmp_path):
    archive = tar(tmp_path / "a.tar.gz", member("x" * (3 << 20), b"x"), format=tarfile.GNU_FORMAT)
    assert "a header is larger than any should be" in refusal(archive)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\x1f\x8b", b"\x1f\x8b" + b"x" * 100, b"PK\x03\x04", b"PK\x05\x06" + bytes(18),
     b"x" * 2000, bytes(1024)],
)  # fmt: skip
def test_what_is_no_archive_brings_no_files(tmp_path, content):
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(content)
    with contextlib.suppress(WeightsError):
        assert unpacked(archive) == {}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_an_archive_that_was_cut_is_refused(tmp_path, share, kind):
    import numpy as np

    noise = np.random.default_rng(0).bytes(20_000)
    archive = tmp_path / f"a.{kind}"
    if kind == "zip":
        zipped(archive, ("w", noise))
    else:
        tar(archive, member("w", noise))
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    assert "is damaged" in refusal(archive)


def test_a_flipped_bit_is_noticed(tmp_path):
    archive = zipped(tmp_path / "a.zip", ("w", bytes(range(256))))
    data = bytearray(archive.read_bytes())
    data[60] ^= 1
    archive.write_bytes(data)
    refusal(archive)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.tar.gz", True), ("a.TGZ", True), ("a.zip", True), ("a.tar", True), ("a.pdparams", False)],
)
def test_archives_are_known_by_their_names(name, expected):
    assert is_archive(name) is expected
