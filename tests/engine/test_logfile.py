"""train.log: it tells of a training, and never decides about one."""

import logging
import resource
from contextlib import contextmanager

from segcore.engine.logfile import logging_to

log = logging.getLogger("segcore.tests")


@contextmanager
def no_file_larger_than(size):
    """Have the system refuse more, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path, caplog, capsys, monkeypatch):
    path = tmp_path / "train.log"
    # libraries may have given the root handlers, whose files may not grow now either
    monkeypatch.setattr(logging.getLogger(), "handlers", [caplog.handler])
    with no_file_larger_than(60), logging_to(path):
        for number in range(5):
            log.info("step %d", number)
    assert "step 0" in path.read_text()
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"{path}: cannot be written (File too large), and lacks lines from here on"]
    assert "Logging error" not in capsys.readouterr().err


def test_lines_go_on_once_there_is_room(tmp_path, monkeypatch):
    path = tmp_path / "train.log"
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with logging_to(path):
        with no_file_larger_than(10):
            log.info("too much")
        log.info("there is room")
    assert [line.rpartition("INFO ")[2] for line in path.read_text().splitlines()][-1] == (
        "there is room"
    )
