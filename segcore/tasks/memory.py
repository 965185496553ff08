"""Whether there is memory for what a network is asked to do, and what to do where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segcore.errors import ExhaustedError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ADVICE", "fits", "free_bytes", "require_memory", "running_out_told"]

ADVICE = (
    "use sliding windows (eval.sliding, semantic models), a smaller size (predict.target_size) or "
    "batch"
)
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def free_bytes() -> int | None:
    """Return the memory that this process may still take, as the system tells; None if it does not.

    Where a container has a limit, what is left of that counts.
    """
    found = []
    try:
        lines = _MEMINFO.read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        found.append(int(values["MemAvailable"].split()[0]) * 1024)
    except (OSError, ValueError, KeyError):
        pass
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        found.append(max(0, limit - int((_CGROUP / "memory.current").read_text())))
    except (OSError, ValueError):
        pass  # no control groups here, or no limit
    return min(found, default=None)


def fits(needed: int) -> bool:
    """Say whether `needed` bytes are free; where nobody knows, they are."""
    free = free_bytes()
    return free is None or needed <= free


def require_memory(needed: int, what: str, advice: str = ADVICE) -> None:
    """Raise ExhaustedError with `advice` unless `needed` bytes are free, as `fits` tells."""
    if not fits(needed):
        raise ExhaustedError(
            f"{what} takes {_shown(needed)} of memory at the least, and "
            f"{_shown(free_bytes() or 0)} are free: {advice}"
        )


@contextmanager
def running_out_told(inputs: Mapping[str, np.ndarray]) -> Iterator[None]:
    """Turn the errors of numpy and Paddle that memory has run out into ExhaustedError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "ResourceExhausted" not in str(error):
            raise
        shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        raise ExhaustedError(f"memory ran out on inputs of shape {shapes}: {ADVICE}") from error


def _shown(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
