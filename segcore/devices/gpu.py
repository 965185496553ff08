"""NVIDIA GPUs, through Paddle's own device interface."""

from __future__ import annotations

from typing import Any

from segcore.devices.framework import essence, require_paddle
from segcore.errors import DeviceMissingError

__all__ = ["GPU"]

_INITIAL_MEMORY_MIB = 100  # Paddle Inference grows from here as it needs


class GPU:
    """The NVIDIA GPUs that this process sees (`CUDA_VISIBLE_DEVICES` narrows them)."""

    def unavailable_reason(self) -> str | None:
        """Try an operator, since a GPU build without a fitting driver looks whole until then.

        Raises FrameworkMissingError where there is no Paddle at all.
        """
        paddle = require_paddle()
        if not paddle.is_compiled_with_cuda():
            return (
                f"the installed PaddlePaddle {paddle.__version__} is a CPU build: "
                'install the GPU build with `pip uninstall paddlepaddle` and then `pip install "'
                'segcore[gpu]"`, or use --device cpu'
            )
        if self.count() == 0:
            return (
                "the installed PaddlePaddle finds no NVIDIA GPU: check that `nvidia-smi` lists one "
                "and that CUDA_VISIBLE_DEVICES does not hide it, or use --device cpu"
            )
        try:
            float(paddle.to_tensor(1.0, place=paddle.CUDAPlace(0)) + 1.0)
        except (RuntimeError, OSError, ValueError) as error:
            return (
                f"the GPU does not compute: {essence(error)}. Check its driver and CUDA libraries"
            )
        return None

    def count(self) -> int:
        paddle = require_paddle()
        return int(paddle.device.cuda.device_count()) if paddle.is_compiled_with_cuda() else 0

    def place(self, index: int) -> str:
        return f"gpu:{index}"

    def synchronize(self, index: int) -> None:
        require_paddle().device.cuda.synchronize(index)

    def peak_memory_bytes(self, index: int) -> int | None:
        return int(require_paddle().device.cuda.max_memory_allocated(index))

    def configure_inference(self, config: Any, index: int) -> None:
        config.enable_use_gpu(_INITIAL_MEMORY_MIB, index)
        # A CPU build answers with a line in the log only, and would then run on the CPU.
        if not config.use_gpu():
            raise DeviceMissingError(
                f"gpu:{index}: {self.unavailable_reason() or 'Paddle Inference refuses the GPU'}"
            )
