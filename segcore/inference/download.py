"""Fetch an image over http or https into memory."""

from __future__ import annotations

import http.client
import re
from urllib import request
from urllib.error import HTTPError, URLError

from segcore.errors import DataError, RequestError

__all__ = ["fetch_image", "is_url"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# No handler of file:// or ftp://, so that a redirection cannot lead there either.
_HANDLERS = (
    request.ProxyHandler,
    request.UnknownHandler,
    request.HTTPHandler,
    request.HTTPSHandler,
    request.HTTPDefaultErrorHandler,
    request.HTTPRedirectHandler,
    request.HTTPErrorProcessor,
)
_TIMEOUT_S = 30.0
_MAX_BYTES = 64 * 2**20


def is_url(text: str) -> bool:
    """Say whether `text` starts with a scheme, such as https://."""
    return _URL.match(text) is not None


def fetch_image(url: str, *, timeout_s: float = _TIMEOUT_S, max_bytes: int = _MAX_BYTES) -> bytes:
    """Fetch what stands at `url`. Raises RequestError for a scheme other than http and https.

    Raises DataError when the server does not answer in time, answers with a fault, or sends more
    than `max_bytes`.
    """
    scheme = url.partition("://")[0].lower()
    if scheme not in ("http", "https"):
        raise RequestError(f"{url}: {scheme}:// is not fetched; give http://, https:// or a path")
    opener = request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "segcore")]
    try:
        with opener.open(url, timeout=timeout_s) as response:
            data: bytes = response.read(max_bytes + 1)
    except HTTPError as error:
        raise DataError(f"{url}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise DataError(f"{url}: cannot be fetched: {reason}") from error
    if len(data) > max_bytes:
        raise DataError(f"{url}: is larger than {max_bytes / 2**20:g} MiB; fetch it yourself")
    if response.length:  # what was announced and did not come
        raise DataError(f"{url}: cannot be fetched: the connection broke; try again")
    return data
