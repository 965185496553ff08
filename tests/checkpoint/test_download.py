"""Downloads from servers that stall, cut, lie and change (fault F25)."""

import contextlib
import errno
import hashlib
import json
import subprocess
import sys
import time

import pytest

from segcore.checkpoint.download import DownloadRules, download
from segcore.checkpoint.web import WebRules
from segcore.errors import DownloadError, StorageError, WeightsError
from segcore.testing.faults import FailAt, Intercepted

WEB = WebRules(schemes=frozenset({"http"}), timeout_s=5)


@pytest.fixture
def fetch(web, tmp_path):
    """Give what downloads /w into the file w, with pauses noted instead of slept."""
    target = tmp_path / "w"
    pauses = []

    def run(sha256=None, **rules):
        rules = {"web": WEB, "attempts": 3, **rules}
        download(
            f"{web.address}/w",
            target,
            sha256=sha256,
            rules=DownloadRules(pause=pauses.append, **rules),
        )
        return target.read_bytes()

    run.folder = tmp_path
    run.pauses = pauses
    return run


def kept(fetch):
    return sorted(path.name for path in fetch.folder.iterdir())


def test_a_whole_file_gets_its_name_and_nothing_else_stays(fetch, web, webserver):
    web.pages["/w"] = webserver.page()
    assert fetch() == webserver.CONTENT
    assert kept(fetch) == ["w"]


def test_what_was_cut_goes_on_where_it_stopped(fetch, web, webserver):
    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), webserver.page())
    assert fetch() == webserver.CONTENT
    assert web.ranges() == [None, "bytes=1000-"]
    assert fetch.pauses == [1.0]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(fetch, web, webserver):
    web.pages["/w"] = webserver.cut(1000)
    with pytest.raises(DownloadError, match=r"broke after 1000 of 524288 bytes .*are kept"):
        fetch(attempts=1)
    assert kept(fetch) == ["w.part", "w.part.json"]
    web.pages["/w"] = webserver.page()
    assert fetch() == webserver.CONTENT
    assert web.ranges() == [None, "bytes=1000-"]


def test_attempts_come_to_an_end_with_longer_and_longer_pauses(fetch, web, webserver):
    web.pages["/w"] = webserver.status(503)
    with pytest.raises(DownloadError, match=r"answers 503 .*\(4 attempts\)"):
        fetch(attempts=4)
    assert fetch.pauses == [1.0, 2.0, 4.0]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(fetch, web, webserver):
    busy = webserver.status(429, Retry_After="17")
    web.pages["/w"] = webserver.in_turn(busy, webserver.page())
    assert fetch() == webserver.CONTENT
    assert fetch.pauses == [17.0]


def test_a_file_that_is_not_there_is_told_at_once(fetch, web):
    with pytest.raises(WeightsError, match="answers 404"):
        fetch()
    assert len(web.requests) == 1


def test_a_server_that_ignores_ranges_sends_the_whole_again(fetch, web, webserver):
    def whole(handler):
        webserver.send(handler, 200, webserver.CONTENT, ETag='"one"')

    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), whole)
    assert fetch() == webserver.CONTENT


def test_pieces_of_two_versions_are_never_put_together(fetch, web, webserver):
    new = webserver.CONTENT[::-1]
    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), webserver.page(new, tag='"two"'))
    assert fetch() == new


def test_a_rest_of_another_version_is_thrown_away(fetch, web, webserver):
    """A server that ignores If-Range and sends the rest of a new version all the same."""
    new = webserver.CONTENT[::-1]

    def rest(handler):
        where = f"bytes 1000-{len(new) - 1}/{len(new)}"
        webserver.send(handler, 206, new[1000:], ETag='"two"', Content_Range=where)

    pages = (webserver.cut(1000), rest, webserver.page(new, tag='"two"'))
    web.pages["/w"] = webserver.in_turn(*pages)
    assert fetch() == new
    assert web.ranges() == [None, "bytes=1000-", None]


@pytest.mark.parametrize(
    "where",
    [
        "bytes 0-524287/524288",
        "bytes 1000-524287/600000",
        "bytes 1000-2000/524288",
        "nonsense",
        None,
    ],
)
def test_a_rest_that_does_not_follow_is_thrown_away(fetch, web, webserver, where):
    def rest(handler):
        webserver.send(handler, 206, b"x" * 100, ETag='"one"', Content_Range=where)

    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), rest, webserver.page())
    assert fetch() == webserver.CONTENT


def test_a_file_that_became_shorter_is_fetched_anew(fetch, web, webserver):
    def too_far(handler):
        webserver.send(handler, 416)

    short = webserver.page(b"short", tag='"two"')
    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), too_far, short)
    assert fetch() == b"short"


def test_versions_that_cannot_be_told_apart_are_not_continued(fetch, web, webserver):
    web.pages["/w"] = webserver.in_turn(webserver.cut(1000, tag='W/"weak"'), webserver.page())
    assert fetch() == webserver.CONTENT
    assert web.ranges() == [None, None]


def test_a_rest_from_another_address_is_not_continued(fetch, web, webserver):
    web.pages["/w"] = webserver.cut(1000)
    with pytest.raises(DownloadError):
        fetch(attempts=1)
    note = fetch.folder / "w.part.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"url": "https://a.org/w"}))
    web.pages["/w"] = webserver.page()
    assert fetch() == webserver.CONTENT
    assert web.ranges() == [None, None]


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"url": 1}', b"\xff"])
def test_a_damaged_note_costs_only_the_part(fetch, web, webserver, note):
    (fetch.folder / "w.part").write_bytes(b"rubbish")
    (fetch.folder / "w.part.json").write_bytes(note)
    web.pages["/w"] = webserver.page()
    assert fetch() == webserver.CONTENT


def test_more_than_was_declared_is_refused_and_not_kept(fetch, web, webserver):
    def more(handler):
        webserver.send(handler, 200, webserver.CONTENT, ETag='"one"', Content_Length="1000")

    web.pages["/w"] = more
    with pytest.raises(WeightsError, match="said 1000 bytes and sends more"):
        fetch()
    assert kept(fetch) == []


def test_too_large_a_file_is_refused_before_it_comes(fetch, web, webserver):
    web.pages["/w"] = webserver.page()
    with pytest.raises(WeightsError, match="more than the 0 MiB that are allowed"):
        fetch(max_bytes=1000)
    assert kept(fetch) == []


def chunked(*pieces, ends=True):
    def answer(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in (*pieces, b"") if ends else pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.close_connection = True

    return answer


def test_a_file_of_unknown_size_comes_in_chunks(fetch, web):
    web.pages["/w"] = chunked(b"ab", b"c")
    assert fetch() == b"abc"


def test_an_endless_file_is_refused_at_the_limit(fetch, web):
    web.pages["/w"] = chunked(*[b"x" * 1000] * 100)
    with pytest.raises(WeightsError, match="larger than"):
        fetch(max_bytes=10_000)
    assert kept(fetch) == []


def test_chunks_that_break_off_are_no_file(fetch, web):
    web.pages["/w"] = chunked(b"abc", ends=False)
    with pytest.raises(DownloadError):
        fetch()
    assert "w" not in kept(fetch)


def test_a_file_whose_end_nobody_could_tell_is_refused(fetch, web, webserver):
    web.pages["/w"] = lambda handler: webserver.send(handler, 200, b"abc", Content_Length=None)
    with pytest.raises(WeightsError, match="does not say how large"):
        fetch()


def test_an_encoding_that_nobody_asked_for_is_refused(fetch, web, webserver):
    web.pages["/w"] = webserver.page(b"abc", Content_Encoding="gzip")
    with pytest.raises(WeightsError, match="encoded"):
        fetch()


@pytest.mark.parametrize("code", [201, 204, 206])
def test_an_answer_that_is_no_file_is_refused(fetch, web, webserver, code):
    web.pages["/w"] = lambda handler: webserver.send(handler, code)
    with pytest.raises(WeightsError, match=f"answers {code}"):
        fetch()


def test_a_stalling_server_is_left_and_asked_for_the_rest(fetch, web, webserver):
    def stall(handler):
        length = str(len(webserver.CONTENT))
        webserver.send(handler, 200, webserver.CONTENT[:5000], ETag='"one"', Content_Length=length)
        web.released.wait(30)

    web.pages["/w"] = webserver.in_turn(stall, webserver.page())
    assert fetch(web=WebRules(schemes=WEB.schemes, timeout_s=0.2)) == webserver.CONTENT
    assert web.ranges() == [None, "bytes=5000-"]


def test_a_server_that_sends_next_to_nothing_is_left(fetch, web, webserver):
    def drip(handler):
        webserver.send(handler, 200, b"", ETag='"one"', Content_Length="1000")
        while not web.released.wait(0.02):
            handler.wfile.write(b"x")

    web.pages["/w"] = drip
    with pytest.raises(DownloadError, match="next to nothing"):
        fetch(attempts=1, web=WebRules(schemes=WEB.schemes, timeout_s=0.3))
    assert "w" not in kept(fetch)


def test_the_digest_is_compared_where_it_is_known(fetch, web, webserver):
    web.pages["/w"] = webserver.page()
    assert fetch(sha256=hashlib.sha256(webserver.CONTENT).hexdigest().upper())


def test_another_digest_is_refused_and_nothing_is_kept(fetch, web, webserver):
    web.pages["/w"] = webserver.page()
    with pytest.raises(WeightsError, match=f"and {'0' * 64} is expected"):
        fetch(sha256="0" * 64)
    assert kept(fetch) == []
    assert len(web.requests) == 1


def test_pieces_that_come_to_another_digest_are_fetched_anew_once(fetch, web, webserver):
    """A server that changes the file under the same tag."""
    old = webserver.cut(1000, b"y" * len(webserver.CONTENT))
    web.pages["/w"] = webserver.in_turn(old, webserver.page())
    assert fetch(sha256=hashlib.sha256(webserver.CONTENT).hexdigest()) == webserver.CONTENT
    assert web.ranges() == [None, "bytes=1000-", None]


@pytest.mark.parametrize("n", range(1, 14))
def test_a_disk_that_fails_never_leaves_half_a_file_under_the_name(web, webserver, tmp_path, n):
    web.pages["/w"] = webserver.page()
    disk = FailAt(n, errno.ENOSPC, lasting=True)
    with pytest.raises(StorageError, match="cannot be written"):
        download(f"{web.address}/w", tmp_path / "w", rules=DownloadRules(web=WEB), files=disk)
    assert disk.struck is not None
    if (tmp_path / "w").exists():
        assert (tmp_path / "w").read_bytes() == webserver.CONTENT


def test_nothing_is_left_to_do_once_the_file_has_its_name(web, webserver, tmp_path):
    """A process that is killed then would leave it for ever."""
    web.pages["/w"] = webserver.page()
    seen = []

    class Watch(Intercepted):
        def around(self, name, args, call):
            result = call()
            seen.append({path.name for path in tmp_path.iterdir()})
            return result

    download(f"{web.address}/w", tmp_path / "w", rules=DownloadRules(web=WEB), files=Watch())
    assert {"w.part", "w.part.json"} in seen
    assert all(names == {"w"} for names in seen if "w" in names)


@pytest.fixture
def small_disk(tmp_path):
    """Mount 256 KiB of memory as a disk; give its folder and what mounts it with other options."""
    room = tmp_path / "small"
    room.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(room)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mount("size=256k"):
        pytest.skip("mounting a file system takes rights that are not there")
    try:
        yield room, lambda options: mount(f"remount,{options}")
    finally:
        subprocess.run(["umount", str(room)], check=True)


def test_a_disk_that_is_full_midway_keeps_what_came_and_goes_on_once_there_is_room(
    small_disk, web, webserver
):
    room, remount = small_disk
    web.pages["/w"] = webserver.page()
    rules = DownloadRules(web=WEB, attempts=1)
    with pytest.raises(StorageError, match="MiB free"):
        download(f"{web.address}/w", room / "w", rules=rules)
    assert not (room / "w").exists()
    came = (room / "w.part").stat().st_size
    assert 0 < came < len(webserver.CONTENT)
    assert remount("size=4m")
    download(f"{web.address}/w", room / "w", rules=rules)
    assert (room / "w").read_bytes() == webserver.CONTENT
    assert web.ranges() == [None, f"bytes={came}-"]
    assert [path.name for path in room.iterdir()] == ["w"]


def test_a_disk_that_becomes_read_only_midway_is_told_and_loses_nothing(small_disk, web, webserver):
    room, remount = small_disk
    assert remount("size=4m")

    def lock_midway(handler):
        length = str(len(webserver.CONTENT))
        webserver.send(handler, 200, webserver.CONTENT[:9999], ETag='"one"', Content_Length=length)

    web.pages["/w"] = webserver.in_turn(lock_midway, webserver.page())

    def pause(_):
        assert remount("ro")

    rules = DownloadRules(web=WEB, attempts=2, pause=pause)
    with pytest.raises(StorageError, match="Read-only file system"):
        download(f"{web.address}/w", room / "w", rules=rules)
    assert not (room / "w").exists()
    assert remount("rw")
    download(f"{web.address}/w", room / "w", rules=rules)
    assert (room / "w").read_bytes() == webserver.CONTENT


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_jumps_changes_nothing(jump_s, fetch, web, webserver, monkeypatch):
    """No limit hangs on the time of day, which is set again and again."""
    begun, calls = time.time(), []

    def jumping():
        calls.append(None)
        return begun + jump_s * (len(calls) % 2)

    monkeypatch.setattr(time, "time", jumping)
    web.pages["/w"] = webserver.in_turn(webserver.cut(1000), webserver.page())
    assert fetch() == webserver.CONTENT


def test_a_killed_download_goes_on_where_it_was(fetch, web, webserver):
    def stall(handler):
        length = str(len(webserver.CONTENT))
        webserver.send(handler, 200, webserver.CONTENT[:5000], ETag='"one"', Content_Length=length)
        web.released.wait(30)

    web.pages["/w"] = webserver.in_turn(stall, webserver.page())
    code = (
        "import sys; from pathlib import Path\n"
        "from segcore.checkpoint.download import DownloadRules, download\n"
        "from segcore.checkpoint.web import WebRules\n"
        "rules = DownloadRules(web=WebRules(schemes=frozenset({'http'})))\n"
        "download(sys.argv[1], Path(sys.argv[2]), rules=rules)"
    )
    command = [sys.executable, "-c", code, f"{web.address}/w", str(fetch.folder / "w")]
    with subprocess.Popen(command) as process:
        while not (fetch.folder / "w.part").exists() or part_size(fetch) < 5000:
            with contextlib.suppress(subprocess.TimeoutExpired):
                assert process.wait(0.01) is None
        process.kill()
    assert kept(fetch) == ["w.part", "w.part.json"]
    assert fetch() == webserver.CONTENT
    assert web.ranges() == [None, "bytes=5000-"]


def part_size(fetch):
    return (fetch.folder / "w.part").stat().st_size
