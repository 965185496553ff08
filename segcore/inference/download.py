"""Fetch an image over http or https into memory."""

from __future__ import annotations

from segcore.checkpoint.cache import OFFLINE_VARIABLE, is_offline
from segcore.checkpoint.web import WebError, WebRules, check_url, open_web, shown_url
from segcore.errors import DataError, OfflineError

__all__ = ["fetch_image"]

# cameras and servers of one's own network often speak http only, and images are no code
_RULES = WebRules(schemes=frozenset({"http", "https"}), total_s=600)
_MAX_BYTES = 64 * 2**20


def fetch_image(url: str, *, rules: WebRules = _RULES, max_bytes: int = _MAX_BYTES) -> bytes:
    """Fetch what stands at `url`. Raises OfflineError when SEGCORE_OFFLINE is set.

    Raises DataError for a scheme other than http and https, and when the server does not answer in
    time, answers with a fault, sends more than `max_bytes`, or less than it announced.
    """
    shown = shown_url(url)
    try:
        check_url(url, rules)
    except WebError as error:
        raise DataError(f"{shown}: cannot be fetched: {error}") from error
    if is_offline():
        raise OfflineError(f"{shown}: nothing is fetched (--offline or {OFFLINE_VARIABLE})")
    data = bytearray()
    try:
        with open_web(url, rules) as answer:
            while piece := answer.read(1 << 16):
                data += piece
                if len(data) > max_bytes:
                    raise DataError(
                        f"{shown}: is larger than {max_bytes / 2**20:g} MiB; fetch it yourself"
                    )
            if answer.declared_bytes not in (None, len(data)):
                raise WebError("the connection broke; try again")
    except WebError as error:
        raise DataError(f"{shown}: cannot be fetched: {error}") from error
    return bytes(data)
