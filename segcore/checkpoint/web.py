"""The one way to the web: http and https, under rules that hold for everything that is fetched.

- Only the schemes that the caller names are spoken, https unless it says otherwise; never `file:`.
- An address with a user name or a password in it is refused, and never shown again.
- A redirection keeps the scheme, and leads to a public address or back to the same server: a server
  outside must not send us to one inside (loopback, private, link-local). That is looked at twice,
  when the name is resolved and once more at the connection that was made, before anything is sent.
- A server that keeps silent, sends next to nothing, or never comes to an end is left: every answer
  has a time for its header, a lowest rate, and a time for the whole.
- Proxies are taken from the environment as usual.

The standard library does the talking. `requests` and `httpx` would bring ten packages, and follow
redirections on their own, without the look at where they lead.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urljoin, urlsplit

__all__ = ["WebAnswer", "WebError", "WebRules", "check_url", "is_url", "open_web", "shown_url"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REDIRECTIONS = {301, 302, 303, 307, 308}
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
_AGENT = "segcore"
_OVERHEAD_BYTES = 2**20  # header fields of one answer


@dataclass(frozen=True, kw_only=True)
class WebRules:
    """What is allowed: the schemes, how many redirections, and what a server may take.

    `timeout_s` are seconds of silence, and those until the header of the last redirection has come;
    `min_bytes_per_s` must come on average over each `timeout_s`; `total_s` is for the whole answer.
    """

    schemes: frozenset[str] = frozenset({"https"})
    max_redirects: int = 5
    timeout_s: float = 30.0
    min_bytes_per_s: float = 1024.0
    total_s: float = 6 * 3600.0


class WebError(Exception):
    """Something could not be fetched; the text says why, without the address.

    `status` is the server's answer if there was one, `is_temporary` says that another attempt may
    succeed, and `retry_after_s` is how long the server asks to be left alone.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        is_temporary: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.is_temporary = is_temporary
        self.retry_after_s = retry_after_s


class _Pace:
    """The time that a server has for its answer, and how much it may send meanwhile.

    The time limit of a socket is for each piece that arrives, so that a byte now and then would
    keep it open for ever.
    """

    def __init__(self, rules: WebRules) -> None:
        self._rules = rules
        self._end = time.monotonic() + rules.timeout_s
        self._left_bytes = _OVERHEAD_BYTES
        self._since: float | None = None  # None until the body begins
        self._received = 0

    def begin_body(self) -> None:
        """Note that the header has come: from here on the rate counts."""
        self._since = time.monotonic()
        self._end = self._since + self._rules.total_s

    def expect(self, size: int) -> None:
        """Allow `size` bytes of content, with what chunks and their trailers take besides."""
        self._left_bytes = size + _OVERHEAD_BYTES

    def next_timeout_s(self) -> float:
        """Give how long to wait for the next piece. Raises WebError when the time is up."""
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise WebError(self._describe_end(), is_temporary=True)
        return min(left_s, self._rules.timeout_s)

    def _describe_end(self) -> str:
        if self._since is not None:
            return f"the answer was not complete within {self._rules.total_s:g} s"
        if self._left_bytes == _OVERHEAD_BYTES:
            return "the server keeps silent"
        return f"no header came within {self._rules.timeout_s:g} s"

    def count(self, size: int) -> None:
        """Note a piece that arrived. Raises WebError for next to nothing, and for far too much."""
        self._left_bytes -= size
        if self._left_bytes < 0:
            raise WebError("the server sends header fields without end")
        if self._since is None:
            return
        self._received += size
        passed_s = time.monotonic() - self._since
        if passed_s > self._rules.timeout_s:
            if self._received < self._rules.min_bytes_per_s * passed_s:
                raise WebError("the server sends next to nothing", is_temporary=True)
            self._since, self._received = time.monotonic(), 0

    def wrap(self, connection: socket.socket) -> Any:
        """Give `connection` so that what is read from it keeps the pace."""
        return _PacedSocket(connection, self)


class _PacedSocket:
    """A connected socket as `http.client` uses it."""

    def __init__(self, connection: socket.socket, pace: _Pace) -> None:
        self._connection = connection
        self._pace = pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Give what arrives as a file."""
        return io.BufferedReader(_PacedReader(self._connection, self._pace))


class _PacedReader(io.RawIOBase):
    """What arrives at a socket."""

    def __init__(self, connection: socket.socket, pace: _Pace) -> None:
        self._connection = connection
        self._arriving = connection.makefile("rb", buffering=0)
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._pace.next_timeout_s())
        try:
            size = self._arriving.readinto(buffer) or 0
        except TimeoutError:
            self._pace.next_timeout_s()  # says so where it was the last moment
            raise
        self._pace.count(size)
        return size

    def close(self) -> None:
        self._arriving.close()
        super().close()


class WebAnswer:
    """A server's answer, to be read piece by piece."""

    def __init__(self, response: http.client.HTTPResponse, pace: _Pace) -> None:
        self.status = response.status
        self.headers: Message = response.headers
        self.declared_bytes: int | None = response.length
        self.is_chunked = bool(response.chunked)
        self._response = response
        self._pace = pace
        # Read on to where the connection ends, to notice a server that sends more than it said.
        response.length = None

    def read(self, max_bytes: int) -> bytes:
        """Give what has arrived, at most `max_bytes`; empty at the end. Raises WebError."""
        self._pace.expect(max_bytes)
        try:
            return self._response.read1(max_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _translate(error) from error


def is_url(text: str) -> bool:
    """Say whether `text` starts with a scheme, such as https://."""
    return _URL.match(text) is not None


def shown_url(url: str) -> str:
    """Give `url` as it may be printed and logged: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://..."
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return shown._replace(query="...").geturl() if parts.query else shown.geturl()


@contextlib.contextmanager
def open_web(
    url: str, rules: WebRules | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[WebAnswer]:
    """Ask for `url` and give the answer, a success (2xx), once redirections have been followed.

    Raises WebError for all that the rules forbid, for a server that fails or keeps silent, and for
    an answer that is no success.
    """
    rules = rules or WebRules()
    start = target = _checked(url, rules.schemes)
    pace = _Pace(rules)
    for _ in range(rules.max_redirects + 1):
        is_inner_allowed = _origin(target) == _origin(start)
        if not is_inner_allowed:
            _refuse_inner_name(target)
        try:
            with _send(target, pace, headers or {}, is_inner_allowed) as response:
                pace.begin_body()
                yield WebAnswer(response, pace)
                return
        except HTTPError as error:
            with error:
                target = _redirected(error, target)
    raise WebError(f"the server redirects more than {rules.max_redirects} times")


def check_url(url: str, rules: WebRules | None = None) -> None:
    """Raise WebError for an address that the rules forbid, without asking anybody."""
    _checked(url, (rules or WebRules()).schemes)


def _checked(url: str, schemes: frozenset[str]) -> SplitResult:
    """Take an address apart. Raises WebError for one that the rules forbid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WebError("this is no address") from error
    if parts.scheme not in schemes:
        allowed = " and ".join(f"{scheme}://" for scheme in sorted(schemes, reverse=True))
        raise WebError(f"{parts.scheme}:// is not fetched, only {allowed}")
    if not host or not url.isprintable() or " " in url:
        raise WebError("this is no address")
    if "@" in parts.netloc:
        raise WebError("it holds a user name or a password, which segcore never sends: fetch it")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port


def _redirected(error: HTTPError, current: SplitResult) -> SplitResult:
    """Give where `error` leads, if it is a redirection. Raises WebError if it is not, or forbidden.

    Leaving the scheme would let whoever listens to http choose what is loaded.
    """
    location = error.headers.get("Location")
    if error.code not in _REDIRECTIONS or location is None:
        wait = error.headers.get("Retry-After", "")
        raise WebError(
            f"the server answers {error.code} {error.reason:.80}",
            status=error.code,
            is_temporary=error.code in _TEMPORARY,
            retry_after_s=float(wait) if wait.isascii() and wait.isdecimal() else None,
        ) from error
    target = location
    try:
        target = urljoin(current.geturl(), location)
        return _checked(target, frozenset({current.scheme}))
    except (WebError, ValueError) as forbidden:
        why = forbidden if isinstance(forbidden, WebError) else "this is no address"
        raise WebError(
            f"the server redirects to {shown_url(target):.200}, which is not followed: {why}"
        ) from error


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast


def _inner_refusal(host: str, address: str) -> WebError:
    return WebError(
        f"the server redirects to {host} ({address}), an address that is not public, which is "
        "not followed"
    )


def _refuse_inner_name(parts: SplitResult) -> None:
    """Raise WebError when the host of a redirection has an address inside."""
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # only a proxy may know this name; without one the connection fails and says so
    for *_, address in found:
        if not _is_public(str(address[0])):
            raise _inner_refusal(host, str(address[0]))


def _guard(connection: Any, is_inner_allowed: bool) -> None:
    """Raise WebError when a connection was made to a server inside that was not asked for."""
    if not is_inner_allowed:
        address = connection.sock.getpeername()[0]
        if not _is_public(address):
            raise _inner_refusal(connection.host, address)


def _is_proxied(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return parts.scheme in request.getproxies() and not request.proxy_bypass(host)


def _send(
    parts: SplitResult, pace: _Pace, headers: Mapping[str, str], is_inner_allowed: bool
) -> http.client.HTTPResponse:
    """Ask one server. Raises HTTPError for every answer but a success, WebError otherwise."""
    guards_peer = not is_inner_allowed and not _is_proxied(parts)

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _guard(self, not guards_peer)
            self.sock = pace.wrap(self.sock)

    class Secure(http.client.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _guard(self, not guards_peer)
            self.sock = pace.wrap(self.sock)

    class PlainHandler(request.HTTPHandler):
        def http_open(self, req: request.Request) -> http.client.HTTPResponse:
            return self.do_open(Plain, req)

    class SecureHandler(request.HTTPSHandler):
        def https_open(self, req: request.Request) -> http.client.HTTPResponse:
            return self.do_open(Secure, req, context=ssl.create_default_context())

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        PlainHandler(),
        SecureHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    opener.addheaders = []
    fields = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
    try:
        wanted = request.Request(parts._replace(fragment="").geturl(), headers=fields)  # noqa: S310  checked before
        response: http.client.HTTPResponse = opener.open(wanted, timeout=pace.next_timeout_s())
    except HTTPError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _translate(error) from error
    return response


def _translate(error: Exception) -> WebError:
    """Say in words what kept the answer away, and whether it may pass."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return WebError("the server keeps silent", is_temporary=True)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return WebError(f"the server cannot prove who it is: {reason.verify_message}")
    if isinstance(reason, socket.gaierror):
        passing = reason.errno == socket.EAI_AGAIN
        return WebError(
            f"no address of this server is known: {reason.strerror}", is_temporary=passing
        )
    if isinstance(reason, http.client.IncompleteRead):
        return WebError("the connection broke", is_temporary=True)
    if isinstance(reason, OSError | http.client.HTTPException):
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return WebError(f"the connection failed: {said}", is_temporary=True)
    return WebError(str(reason))
