"""A web server of this process that behaves as told, also badly."""

import contextlib
import gzip
import io
import ssl
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of 127.0.0.1 and nobody else, valid for a hundred years; its key is no secret."""
CONTENT = bytes(range(256)) * 2048  # half a MiB


class WebServer:
    """Serves each path by a function of the handler; `requests` lists what was asked for."""

    def __init__(self, scheme="http", context=None):
        self.pages = {}
        self.requests = []
        self.released = threading.Event()  # what a stalling page waits for
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append((self.path, dict(self.headers)))
                with contextlib.suppress(ConnectionError):  # the client may have had enough
                    server.pages.get(self.path, status(404))(self)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self.address = f"{scheme}://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def ranges(self):
        """The Range headers of all requests, None where there was none."""
        return [headers.get("Range") for _, headers in self.requests]


def secure_server():
    """A server of https, for those who trust CERTIFICATE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return WebServer("https", context)


def packed(files):
    """A .tar.gz of files by name."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)


def send(handler, code, body=b"", **headers):
    """Send an answer; Content_Length=... may lie, and None leaves a header out."""
    handler.send_response(code)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code, **headers):
    return lambda handler: send(handler, code, **headers)


def redirect(target):
    return lambda handler: send(handler, 302, Location=target)


def page(content=CONTENT, tag='"one"', **headers):
    """Serve `content` in full or from where Range says, as good servers do."""

    def answer(handler):
        asked = handler.headers.get("Range")
        if asked is None or handler.headers.get("If-Range") != tag:
            return send(handler, 200, content, ETag=tag, **headers)
        begun = int(asked.removeprefix("bytes=").rstrip("-"))
        if begun >= len(content):
            return send(handler, 416)
        rest = f"bytes {begun}-{len(content) - 1}/{len(content)}"
        return send(handler, 206, content[begun:], ETag=tag, Content_Range=rest)

    return answer


def cut(after, content=CONTENT, tag='"one"'):
    """Promise `content`, and break off after the first `after` bytes of it."""

    def answer(handler):
        send(handler, 200, content[:after], ETag=tag, Content_Length=str(len(content)))
        handler.close_connection = True

    return answer


def in_turn(*answers):
    """Serve by each of `answers` once, and by the last from then on."""
    left = list(answers)

    def answer(handler):
        act = left.pop(0) if len(left) > 1 else left[0]
        act(handler)

    return answer


def late(answer, seconds=0.1):
    """Think for a while before each answer."""

    def think(handler):
        time.sleep(seconds)
        answer(handler)

    return think
