"""Work on the samples of a dataset in threads, in order, without running ahead."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from segcore.filesystem import exists

__all__ = ["map_in_threads"]

_MOMENT_S = 1e-4  # threads that have nothing left to do are gone within this

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int | None = None
) -> Iterator[_Result]:
    """Yield `function` of each item, in order; only a few results wait at any time.

    Threads suffice for images: reading files, decoding and OpenCV leave the interpreter free.
    `workers` is the number of processors where it is None; 0 works in the caller's thread.
    """
    count = os.cpu_count() or 1 if workers is None else workers
    if count == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[_Result]] = deque()
    threads: list[int] = []
    try:
        with ThreadPoolExecutor(
            count, initializer=lambda: threads.append(threading.get_native_id())
        ) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(function, item))
                    if len(waiting) >= 4 * count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        _wait_until_gone(threads)


def _wait_until_gone(threads: Iterable[int]) -> None:
    """Wait until the system has ended `threads`, which Python before 3.13 calls done too early.

    Amid its end a thread holds a lock of OpenCV, and a process that is forked then waits for that
    lock forever.
    """
    for thread in threads:
        while exists(f"/proc/self/task/{thread}"):
            time.sleep(_MOMENT_S)
