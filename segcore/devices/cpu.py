"""The CPU."""

from __future__ import annotations

import resource
import sys
from typing import Any

from segcore.devices.framework import available_cpus

__all__ = ["CPU"]


class CPU:
    """The processor that the program runs on; always there, and one of its kind."""

    def unavailable_reason(self) -> str | None:
        return None

    def count(self) -> int:
        return 1

    def place(self, index: int) -> str:  # noqa: ARG002 (there is one)
        return "cpu"

    def synchronize(self, index: int) -> None:
        """Return at once: operators on the CPU end before they return."""

    def peak_memory_bytes(self, index: int) -> int | None:  # noqa: ARG002 (there is one)
        """Give the largest resident size of this process."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def configure_inference(self, config: Any, index: int) -> None:  # noqa: ARG002 (there is one)
        """Use every CPU that this process may use; Paddle Inference itself would use one."""
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(available_cpus())
