"""The cache of downloads: shared by processes, usable offline, and never trusted blindly."""

import hashlib
import threading
from pathlib import Path

import pytest

from segcore.checkpoint import cache
from segcore.checkpoint.cache import cache_folder, fetch_to_cache, is_offline, write_note
from segcore.checkpoint.download import DownloadRules
from segcore.checkpoint.web import WebRules
from segcore.devices.framework import home_for_caches
from segcore.errors import OfflineError, OutputError, RequestError, StorageError, WeightsError

RULES = DownloadRules(web=WebRules(schemes=frozenset({"http"}), timeout_s=5), attempts=1)


@pytest.fixture
def url(web, webserver):
    web.pages["/sub/w.pdparams"] = webserver.page()
    return f"{web.address}/sub/w.pdparams"


def fetch(url, **options):
    return fetch_to_cache(url, rules=RULES, **options)


def test_a_file_is_fetched_once(url, web, webserver):
    first, second = fetch(url), fetch(url)
    assert first == second
    assert first.path.read_bytes() == webserver.CONTENT
    assert first.path.name == "w.pdparams"
    assert first.sha256 == hashlib.sha256(webserver.CONTENT).hexdigest()
    assert len(web.requests) == 1


def test_a_file_without_its_record_has_no_name_yet(url, web, webserver, monkeypatch):
    """Else it would count as put there by hand once the process is killed in between."""

    def fail(path, *_):
        raise StorageError(f"{path}: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "write_atomic", fail)
        with pytest.raises(StorageError):
            fetch(url)
    assert not list(cache_folder().rglob("w.pdparams"))
    assert fetch(url).path.read_bytes() == webserver.CONTENT
    assert len(list(cache_folder().rglob("w.pdparams.json"))) == 1
    assert len(web.requests) == 1  # all of it had come


def test_files_of_the_same_name_from_two_places_stay_apart(url, web, webserver):
    web.pages["/other/w.pdparams"] = webserver.page(b"other")
    assert fetch(url).path != fetch(f"{web.address}/other/w.pdparams").path


@pytest.mark.parametrize(
    "path", ["/..%2f..%2fw", "/%2e%2e", "/", "/%00", "/" + "x" * 300, "/.json"]
)
def test_the_server_chooses_no_folder(web, webserver, path):
    web.pages[path] = webserver.page()
    found = fetch(f"{web.address}{path}").path
    assert found.resolve().is_relative_to(cache_folder().resolve() / "weights")


def test_several_that_want_a_file_download_it_once(url, web):
    results, errors = [], []

    def want():
        try:
            results.append(fetch(url))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(results)) == 1
    assert len(web.requests) == 1


def test_offline_a_missing_file_is_named_with_its_place(url, web, monkeypatch):
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    with pytest.raises(OfflineError) as caught:
        fetch(url)
    place = str(caught.value).partition("Put the file at ")[2].partition(",")[0]
    assert url in str(caught.value)
    assert place.startswith(str(cache_folder()))
    assert web.requests == []
    assert caught.value.exit_code == 3


def test_a_file_put_where_the_message_says_is_taken(url, monkeypatch):
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    with pytest.raises(OfflineError) as caught:
        fetch(url)
    place = str(caught.value).partition("Put the file at ")[2].partition(",")[0]
    Path(place).parent.mkdir(parents=True)
    Path(place).write_bytes(b"by hand")
    assert fetch(url).path.read_bytes() == b"by hand"


def test_offline_the_cache_is_enough(url, web, monkeypatch):
    fetch(url)
    monkeypatch.setenv("SEGCORE_OFFLINE", "yes")
    assert fetch(url).path.exists()
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("On", True), ("", False), ("0", False)]
)
def test_offline_is_said_in_usual_words(monkeypatch, text, expected):
    monkeypatch.setenv("SEGCORE_OFFLINE", text)
    assert is_offline() is expected


def test_nonsense_about_offline_is_refused(monkeypatch):
    monkeypatch.setenv("SEGCORE_OFFLINE", "perhaps")
    with pytest.raises(RequestError, match="SEGCORE_OFFLINE=perhaps"):
        is_offline()


def test_a_file_that_has_rotted_is_fetched_anew(url, web, webserver):
    path = fetch(url).path
    path.write_bytes(b"rotten")
    assert fetch(url).path.read_bytes() == webserver.CONTENT
    assert len(web.requests) == 2


def test_offline_a_file_that_has_rotted_is_refused(url, monkeypatch):
    fetch(url).path.write_bytes(b"rotten")
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    with pytest.raises(WeightsError, match="it is damaged"):
        fetch(url)


def test_a_known_digest_holds_for_what_is_in_the_cache(url):
    fetch(url)
    with pytest.raises(WeightsError, match="is expected"):
        fetch(url, sha256="0" * 64)


def test_the_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("SEGCORE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "segcore"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me").mkdir()
    assert cache_folder() == tmp_path / "me" / ".cache" / "segcore"


def test_without_a_home_the_message_says_what_to_set(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("SEGCORE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutputError, match="set SEGCORE_CACHE"):
        cache_folder()


def test_a_home_that_is_only_named_is_not_made(monkeypatch, tmp_path):
    for name in ("SEGCORE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    write_note("kind", "key", {"a": 1})
    with home_for_caches():
        pass
    assert not (tmp_path / "nobody").exists()
    with pytest.raises(OutputError, match="set SEGCORE_CACHE"):
        cache_folder()


def test_a_cache_that_cannot_be_written_is_told(url, monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="Or set SEGCORE_CACHE to a folder"):
        fetch(url)


def test_what_is_there_is_read_without_writing(url):
    """A cache that others may only read serves what it has."""
    path = fetch(url).path
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink()
    before = {file: file.stat().st_mtime_ns for file in (path, path.parent)}
    assert fetch(url).path == path
    assert {file: file.stat().st_mtime_ns for file in (path, path.parent)} == before
