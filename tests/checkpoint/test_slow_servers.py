"""Servers that never come to an end, in whatever part of their answer, are left."""

import socket
import threading
from contextlib import contextmanager

import pytest

from segcore.checkpoint.web import WebError, WebRules, open_web
from segcore.errors import DataError
from segcore.inference.download import fetch_image

HTTP = WebRules(schemes=frozenset({"http"}), timeout_s=0.3, total_s=1.5)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def endless(first, piece, pause_s=0.02):
    """Serve `first`, then `piece` again and again; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()
    threads = []

    def answer(connection):
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(first)
                while not over.wait(pause_s):
                    connection.sendall(piece)
            except OSError:
                pass  # the client has had enough

    def accept():
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threads.append(threading.Thread(target=answer, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join()


def read(url, rules=HTTP):
    with open_web(url, rules) as answer:
        while answer.read(1 << 16):
            pass


@pytest.mark.parametrize(
    ("first", "piece", "reason"),
    [
        (b"", b"H", "no header came within 0.3 s"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a", "no header came within 0.3 s"),
        (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n", "no header came within 0.3 s"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "no header came within 0.3 s"),
        (HEAD, b"a", "sends next to nothing"),
        (CHUNKS, b"1\r\na\r\n", "sends next to nothing"),
        (CHUNKS, b"0", "sends next to nothing"),
        (CHUNKS + b"0\r\n", b"X: a\r\n", "sends next to nothing"),
        (CHUNKS, b"200\r\n" + b"a" * 512 + b"\r\n", "not complete within 1.5 s"),
    ],
)
def test_an_answer_without_end_is_left(first, piece, reason):
    with endless(first, piece) as url, pytest.raises(WebError, match=reason) as caught:
        read(url)
    assert caught.value.is_temporary


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (CHUNKS + b"0\r\n", b"X: a\r\n" * 4000),
        (CHUNKS, b"1;" + b"a" * 60_000 + b"\r\na\r\n0\r\n" + b"X: " + b"b" * 60_000 + b"\r\n"),
    ],
)
def test_header_fields_without_end_are_left_however_fast_they_come(first, piece):
    rules = WebRules(schemes=frozenset({"http"}), timeout_s=60)
    with endless(first, piece, 0.0001) as url, pytest.raises(WebError, match="without end"):
        read(url, rules)


def test_an_image_of_a_slow_server_is_named():
    with endless(HEAD, b"a") as url, pytest.raises(DataError, match=url):
        fetch_image(url, rules=HTTP)


@pytest.mark.parametrize(
    "target",
    [
        "http://x[/", "http://[::1", "http://a:99999999/", "http://a b/", "//[", "http://",
        "http://\u00e4\udcff/", "file:///etc/hostname", "ftp://a/", "http://me:pw@a/",
        "http://" + "a" * 5000, "x" * 60_000,
    ],
)  # fmt: skip
def test_a_redirection_to_what_is_no_address_is_told(web, target):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.0 302 Found\r\nLocation: ")
        handler.wfile.write(target.encode("utf-8", "surrogateescape") + b"\r\n\r\n")

    web.pages["/from"] = answer
    with pytest.raises(WebError) as caught:
        read(f"{web.address}/from", WebRules(schemes=frozenset({"http"}), timeout_s=5))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://a:99999999/", "http://" + "a" * 300, "http://\udcff/", "http://a\0b"],
)
def test_an_address_that_is_none_is_told(url):
    with pytest.raises(WebError):
        read(url)
