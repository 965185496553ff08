"""Work in threads: in order, and never far ahead."""

import threading
from pathlib import Path

import pytest

from segcore.data.pool import map_in_threads


@pytest.mark.parametrize("workers", [0, 1, 3, None])
def test_results_come_in_order(workers):
    assert list(map_in_threads(lambda n: n * n, range(100), workers)) == [n * n for n in range(100)]


def test_items_are_not_taken_long_before_their_results_are_used():
    taken = []
    results = map_in_threads(lambda n: n, (taken.append(n) or n for n in range(10_000)), workers=2)
    next(results)
    assert len(taken) < 20
    results.close()


def test_errors_come_where_their_item_stands():
    results = map_in_threads(lambda n: 1 // (2 - n), range(4), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_process_may_be_forked_as_soon_as_the_work_is_done():
    for _ in range(100):
        threads = set(map_in_threads(lambda _: threading.get_native_id(), range(8), workers=4))
        assert [n for n in threads if Path(f"/proc/self/task/{n}").exists()] == []
