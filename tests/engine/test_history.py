"""metrics.jsonl at a resume: what is noticed, cut and mended."""

import hashlib
import json

import pytest

from segcore.engine.history import History, read_records
from segcore.errors import CheckpointError


@pytest.fixture
def path(tmp_path):
    """A history of three steps."""
    history = History(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        history.add({"event": "train", "step": step, "loss": 1 / step})
    return tmp_path / "metrics.jsonl"


def noted(path, lines=2):
    """Give what a checkpoint after so many lines notes."""
    data = b"".join(path.read_bytes().splitlines(keepends=True)[:lines])
    return len(data), hashlib.sha256(data).hexdigest()


def test_size_and_digest_are_those_of_the_file(tmp_path):
    history = History(tmp_path / "metrics.jsonl")
    history.add({"step": 1})
    data = (tmp_path / "metrics.jsonl").read_bytes()
    assert (history.size_bytes, history.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_lines_after_the_checkpoint_are_dropped_and_told(path, caplog):
    size, sha256 = noted(path)
    history = History(path)
    assert history.flaw(size, sha256, 2) is None
    history.cut(size)
    assert [record["step"] for record in read_records(path)] == [1, 2]
    assert (history.size_bytes, history.sha256) == (size, sha256)
    assert "metrics.jsonl: 1 lines" in caplog.text


def test_a_history_that_fits_is_not_touched(path, caplog):
    size, _ = noted(path, 3)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    History(path).cut(size)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert caplog.text == ""


def shorten(data):
    return data[: len(data) // 2]


def garble(data):
    return data[:20] + bytes([data[20] ^ 1]) + data[21:]


def exchange(data):
    return data.replace(b"0.5", b"0.4")


def lose_first(data):
    return data[data.index(b"\n") + 1 :] + b" " * 100


@pytest.mark.parametrize("damage", [shorten, garble, exchange, lose_first, lambda _: b""])
def test_a_damaged_history_is_noticed(path, damage):
    size, sha256 = noted(path)
    path.write_bytes(damage(path.read_bytes()))
    assert History(path).flaw(size, sha256, 2) is not None


def test_a_lost_history_is_noticed_unless_it_had_no_lines(path):
    size, sha256 = noted(path)
    path.unlink()
    assert "is missing" in History(path).flaw(size, sha256, 2)
    assert History(path).flaw(0, hashlib.sha256().hexdigest(), 0) is None


@pytest.mark.parametrize("damage", [shorten, lose_first, lambda data: data[:10] + data])
def test_without_a_digest_the_lines_must_make_sense(path, damage):
    size, _ = noted(path)
    assert History(path).flaw(size, None, 2) is None
    path.write_bytes(damage(path.read_bytes()))
    assert History(path).flaw(size, None, 2) is not None


def test_lines_of_later_steps_than_the_checkpoint_make_no_sense(path):
    size, _ = noted(path, 3)
    assert History(path).flaw(size, None, 2) is not None


@pytest.mark.parametrize(
    ("damage", "steps"),
    [
        (lambda data: data[:-5], [1, 2]),
        (lambda data: data + data, [1, 2, 3]),
        (lambda data: b"\xff\xfe" + data, []),
        (lambda data: b"\xef\xbb\xbf" + data, []),
        (lambda data: data.replace(b'"step": 2', b'"step": "2"'), [1]),
        (lambda data: data.replace(b'"step": 2', b'"step": 9'), [1]),
        (lambda data: data[: data.index(b"\n") + 1] + b"[]\n" + data, [1]),
    ],
)
def test_a_mended_history_has_whole_lines_in_order(path, damage, steps):
    path.write_bytes(damage(path.read_bytes()))
    history = History(path)
    history.mend(3)
    history.add({"event": "train", "step": 4})
    found = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert found == [*steps, 4]


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: cannot be read"):
        History(tmp_path / "metrics.jsonl").flaw(0, None, 0)
