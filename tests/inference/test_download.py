"""Images over http; tests/checkpoint/test_web.py is on the rules of what is fetched at all."""

import pytest

from segcore.errors import DataError, OfflineError
from segcore.inference.download import fetch_image


def test_what_stands_there_is_fetched(web, webserver):
    web.pages["/image.png"] = webserver.page(b"pixels")
    assert fetch_image(f"{web.address}/image.png") == b"pixels"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a"])
def test_a_redirection_never_leaves_the_web(web, webserver, target):
    web.pages["/to"] = webserver.redirect(target)
    with pytest.raises(DataError, match="not followed"):
        fetch_image(f"{web.address}/to")


def test_a_fault_of_the_server_is_told(web):
    with pytest.raises(DataError, match="answers 404"):
        fetch_image(f"{web.address}/nothing")


def test_a_connection_that_breaks_is_told(web, webserver):
    web.pages["/short"] = webserver.cut(4, b"half of it")
    with pytest.raises(DataError, match="connection broke"):
        fetch_image(f"{web.address}/short")


def test_more_than_the_limit_is_refused(web, webserver):
    web.pages["/image.png"] = webserver.page(b"pixels")
    with pytest.raises(DataError, match="larger than"):
        fetch_image(f"{web.address}/image.png", max_bytes=5)


def test_offline_nothing_is_asked_for(web, monkeypatch):
    monkeypatch.setenv("SEGCORE_OFFLINE", "1")
    with pytest.raises(OfflineError, match="nothing is fetched"):
        fetch_image(f"{web.address}/image.png")
    assert web.requests == []
