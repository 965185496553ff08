"""Which process something belongs to, so that what a dead one left can be told from a living one's.

A number alone does not say it: numbers are given again, and each container counts its own.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["birth", "machine", "namespace"]


def machine() -> str:
    """Give what the numbers of processes are valid in: this start of this machine or container."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {namespace()}"
    return ""


def namespace() -> str:
    """Give the process namespace: a container sees only the numbers of its own."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def birth(pid: int) -> str:
    """Give the start time of a process in clock ticks since boot, or "" if there is none."""
    with contextlib.suppress(OSError):
        # The second field, the command, may hold spaces and parentheses of its own.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""
