"""Images over http, from a server of this process."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from segcore.errors import DataError
from segcore.inference.download import fetch_image, is_url


class Answers(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self):
        if self.path == "/image.png":
            self.answer(200, b"pixels")
        elif self.path.startswith("/to/"):
            self.answer(302, b"", Location=self.path.removeprefix("/to/"))
        elif self.path == "/short":
            self.answer(200, b"half", **{"Content-Length": "100"})
        else:
            self.answer(404, b"")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_what_stands_there_is_fetched(server):
    assert fetch_image(f"{server}/image.png") == b"pixels"


def test_a_redirection_is_followed(server):
    assert fetch_image(f"{server}/to/{server}/image.png") == b"pixels"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a"])
def test_a_redirection_never_leaves_the_web(server, target):
    with pytest.raises(DataError):
        fetch_image(f"{server}/to/{target}")


def test_a_fault_of_the_server_is_told(server):
    with pytest.raises(DataError, match="answers 404"):
        fetch_image(f"{server}/nothing")


def test_a_connection_that_breaks_is_told(server):
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_image(f"{server}/short")


def test_more_than_the_limit_is_refused(server):
    with pytest.raises(DataError, match="larger than"):
        fetch_image(f"{server}/image.png", max_bytes=5)


def test_a_server_that_is_not_there_is_told(server):
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_image("http://127.0.0.1:1/a.png", timeout_s=5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a/b", True),
        ("S3://x", True),
        ("a.png", False),
        ("C:\\a.png", False),
        ("a:b", False),
    ],
)
def test_addresses_are_told_from_paths(text, expected):
    assert is_url(text) is expected
