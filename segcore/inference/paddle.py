"""Run exported graphs with Paddle Inference."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore.devices.framework import essence, require_paddle, restore_threads
from segcore.errors import ExhaustedError, ExportError
from segcore.export.folder import ExportFolder, find_export
from segcore.filesystem import read_regular, require_utf8
from segcore.inference.source import file_state, require_same_files
from segcore.tasks.memory import ADVICE
from segcore.tasks.serial import SerialSession

if TYPE_CHECKING:
    from segcore.protocols import Device, InferenceSession, ModelSource

__all__ = ["PaddleInference", "PaddleSession"]

log = logging.getLogger(__name__)


class PaddleInference:
    """The runtime `paddle`: static graphs, optimised, on the CPU with oneDNN."""

    def refusal(self, source: ModelSource) -> str | None:
        try:
            export = _export_of(source)
        except ExportError as error:
            return str(error)
        paddle = require_paddle()
        # Without this guard Paddle 2 ends the process with a segmentation fault.
        reads_json = hasattr(paddle.base.core, "deserialize_pir_program")
        if export.program.suffix == ".json" and not reads_json:
            return (
                f"the installed PaddlePaddle {paddle.__version__} cannot read {export.program}: "
                "it takes Paddle 3 or newer, or an export made with this version"
            )
        return None

    def load(self, source: ModelSource, device: Device, index: int) -> InferenceSession:
        reason = self.refusal(source)
        if reason is not None:
            raise ExportError(f"the runtime paddle cannot run this model: {reason}")
        session = PaddleSession(source, device, index)
        return SerialSession(session, survives_fork=device.place(index) == "cpu")


class PaddleSession:
    """A graph in Paddle Inference, for one thread at a time: its inputs and outputs are its own.

    Threads take turns at it rather than each having a clone: a run keeps all CPUs busy, so that
    clones gain little, and each holds memory of its own (`benchmarks/threads.py`).

    On Paddle 3.3 with its default settings, graphs that resize fail at their first run
    (PaddlePaddle/Paddle#79749). No version number is asked: what fails at the first run is built
    again on the next step of `_ATTEMPTS`, and what has run once stays. For this the same files are
    read again, wherever the process is by then, or the run is refused.

    On Paddle 3.1 oneDNN's resize takes other neighbours than Paddle's where the ratio of the sizes
    is not whole, without a word, so that graphs with a nearest resize never begin with it.
    """

    _ATTEMPTS = ("as it comes", "without onednn_placement_pass", "without oneDNN")

    def __init__(self, source: ModelSource, device: Device, index: int) -> None:
        folder = None if source.export_dir is None else source.export_dir.absolute()
        require_utf8(folder or "", "PaddlePaddle")
        self._source = replace(source, export_dir=folder, weights=None)
        self._files = file_state(self._source)
        self._export, self._device, self._index = _export_of(self._source), device, index
        self._first = 1 if b"nearest_interp" in _read_program(self._export) else 0
        self._attempt = self._first
        self._has_run = False
        self._predictor = self._create_predictor()

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Run the graph; the one input of a graph is found whatever its name is."""
        try:
            outputs = self._run_once(inputs)
        except MemoryError as error:
            raise self._exhausted(inputs) from error
        except (RuntimeError, ValueError) as error:
            if "ResourceExhausted" in str(error):
                raise self._exhausted(inputs) from error
            if self._has_run or self._attempt + 1 == len(self._ATTEMPTS):
                self._begin_anew()
                raise ExportError(
                    f"{self._export.program}: the graph fails on inputs of shape "
                    f"{_shapes(inputs)}: {essence(error)}"
                ) from error
            attempt = self._attempt + 1
            log.debug(
                "%s: %s; trying %s",
                *(self._export.program, essence(error), self._ATTEMPTS[attempt]),
            )
            self._build_again(attempt)
            return self.run(inputs)
        self._has_run = True
        return outputs

    def _begin_anew(self) -> None:
        """Take the fastest settings again: what failed with all of them was the input."""
        if not self._has_run:
            self._build_again(self._first)

    def _build_again(self, attempt: int) -> None:
        """Build the same graph for another attempt. Raises RequestError where it has changed."""
        require_same_files(self._source, self._files)
        self._attempt = attempt
        self._predictor = self._create_predictor()

    def _create_predictor(self) -> Any:
        inference = require_paddle().inference
        try:
            config = inference.Config(str(self._export.program), str(self._export.params))
            config.disable_glog_info()
            self._device.configure_inference(config, self._index)
            if self._attempt == 1:
                config.delete_pass("onednn_placement_pass")
            elif self._attempt == 2:
                config.disable_mkldnn()
            if self._export.program.suffix == ".pdmodel":
                config.enable_memory_optim()  # fails on .json: its pass does not exist there
            predictor = inference.create_predictor(config)
        except (RuntimeError, ValueError) as error:
            raise ExportError(
                f"{self._export.program}: Paddle Inference cannot load the graph: "
                f"{essence(error)}. If the files are damaged, export the model anew"
            ) from error
        restore_threads()
        return predictor

    def _run_once(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        predictor = self._predictor
        names = predictor.get_input_names()
        if len(names) == 1 and len(inputs) == 1:
            inputs = dict(zip(names, inputs.values(), strict=True))
        if set(names) != set(inputs):
            raise ExportError(
                f"{self._export.program}: the graph takes the inputs {sorted(names)}, "
                f"not {sorted(inputs)}"
            )
        for name in names:
            handle = predictor.get_input_handle(name)
            array = np.ascontiguousarray(inputs[name])
            handle.reshape(array.shape)
            handle.copy_from_cpu(array)
        predictor.run()
        restore_threads()
        return [
            predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()
        ]

    def _exhausted(self, inputs: Mapping[str, np.ndarray]) -> ExhaustedError:
        return ExhaustedError(
            f"memory of {self._device.place(self._index)} ran out on inputs of shape "
            f"{_shapes(inputs)}: {ADVICE}"
        )


def _read_program(export: ExportFolder) -> bytes:
    """Read the graph. Raises ExportError for one that Paddle would crash on."""
    try:
        program = read_regular(export.program)
    except OSError as error:
        raise ExportError(f"{export.program}: cannot be read ({error.strerror})") from error
    is_json = export.program.suffix == ".json"
    # the older form is a message of blocks, whose first byte is the tag of the first one
    if not program.lstrip().startswith(b"{") if is_json else not program.startswith(b"\n"):
        raise ExportError(
            f"{export.program}: is no {'JSON' if is_json else 'ProgramDesc'}, which a graph of "
            "that name is. It is damaged, or has the name of another kind: export the model anew"
        )
    return program


def _export_of(source: ModelSource) -> ExportFolder:
    if source.export_dir is None:
        raise ExportError("it runs exported graphs, and there is none: `segcore export` makes one")
    export = find_export(source.export_dir)
    if export is None:
        raise ExportError(f"{source.export_dir} holds no inference.yml with a graph beside it")
    return export


def _shapes(inputs: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
