"""Every error that segcore raises on purpose, and the exit code that it ends the program with.

    SegcoreError                    70  a defect of ours, if nothing more precise fits
    ├── CheckFailed                  1  a check says no
    ├── RequestError                 2  the request, the configuration or the data is wrong
    │   ├── ConfigError                 a key, a value or a file of the configuration
    │   ├── UnknownNameError            no model, loss, transform, ... of that name
    │   ├── AmbiguousNameError          several plugins offer that name
    │   ├── DataError                   anything wrong with what the user feeds in
    │   │   ├── PathError               a name that cannot be looked up, or not be one of a file
    │   │   ├── ListFileError           a line of train.txt, val.txt, labels.txt
    │   │   ├── ImageError              an image file
    │   │   └── LabelError              a label file
    │   ├── WeightsError                a file of weights, or weights that do not fit
    │   ├── CheckpointError             no usable checkpoint, or one of another run
    │   ├── IntegrityError              a file is not what the manifest beside it says
    │   ├── RunLockedError              another process works in the run folder
    │   ├── OutputError                 the place to write to cannot be written
    │   └── ExportError                 the model cannot be exported to, or run from, that format
    ├── MissingError                 3  something needed is not there
    │   ├── PluginMissingError          the plugin that offers it is not installed
    │   ├── PluginBrokenError           the plugin is installed, but cannot be used
    │   ├── FrameworkMissingError       no PaddlePaddle
    │   ├── PackageMissingError         an optional package
    │   ├── OfflineError                a file that would have to be fetched, and may not be
    │   └── DeviceMissingError          no such device, or no framework build for it
    ├── RunError                     4  the run could not go on for outside reasons
    │   ├── StorageError                disk full, input/output error while writing
    │   ├── DivergedError               the loss or the weights are no longer finite
    │   ├── ExhaustedError              out of device or host memory
    │   ├── DownloadError               a server that fails, keeps silent or cannot be reached
    │   └── WorkerError                 a data worker died, hung, or lost its connection
    └── Interrupted            130/143  stopped by a signal, with the state saved

A message says what is wrong (with the value), where it is, and what to do about it.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from segcore.config.problem import Problem

__all__ = [
    "AmbiguousNameError",
    "CheckFailed",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceMissingError",
    "DivergedError",
    "DownloadError",
    "ExhaustedError",
    "ExportError",
    "FrameworkMissingError",
    "ImageError",
    "IntegrityError",
    "Interrupted",
    "LabelError",
    "ListFileError",
    "MissingError",
    "OfflineError",
    "OutputError",
    "PackageMissingError",
    "PathError",
    "PluginBrokenError",
    "PluginMissingError",
    "RequestError",
    "RunError",
    "RunLockedError",
    "SegcoreError",
    "StorageError",
    "UnknownNameError",
    "WeightsError",
    "WorkerError",
]


class SegcoreError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 70


class CheckFailed(SegcoreError):  # noqa: N818  what failed is what was checked
    """A check ran to its end and says no."""

    exit_code = 1


class RequestError(SegcoreError):
    """The request, the configuration or the data is wrong; the user can mend it."""

    exit_code = 2


class ConfigError(RequestError):
    """A key, a value or a file of the configuration is wrong.

    `problems` holds one record for each, where they were collected: see `segcore.config.problem`.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class UnknownNameError(RequestError):
    """No component of that name exists; the message names the nearest ones."""


class AmbiguousNameError(RequestError):
    """Several plugins offer that name; the message lists the qualified names."""


class DataError(RequestError):
    """Something in the data that the user feeds in is wrong.

    `kind` names what it is among the kinds of `segcore.data.findings`, where it is one of them.
    """

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind


class PathError(DataError):
    """Nobody can look what stands at a path: its name is impossible, or the system refuses."""


class ListFileError(DataError):
    """A list file (train.txt, val.txt, labels.txt) or one of its lines is wrong."""


class ImageError(DataError):
    """An image cannot be used as intended."""


class LabelError(DataError):
    """A label cannot be used as intended."""


class WeightsError(RequestError):
    """A file of weights is unreadable, unsafe, or does not fit the model."""


class CheckpointError(RequestError):
    """There is no usable checkpoint, or it belongs to another run."""


class IntegrityError(RequestError):
    """A file of a run or of an export is not what the manifest beside it says."""


class RunLockedError(RequestError):
    """Another process is working in this run folder."""


class OutputError(RequestError):
    """The place to write to cannot be used."""


class ExportError(RequestError):
    """A model cannot be exported to a format, or an exported model cannot be used."""


class MissingError(SegcoreError):
    """Something needed is not there; the message gives the line that installs it."""

    exit_code = 3


class PluginMissingError(MissingError):
    """The plugin that offers the name is not installed."""


class PluginBrokenError(MissingError):
    """The plugin that offers the name is installed but cannot be used."""


class FrameworkMissingError(MissingError):
    """PaddlePaddle is not installed, or is unusable."""


class PackageMissingError(MissingError):
    """An optional package is not installed."""


class OfflineError(MissingError):
    """A file is not at hand, and nothing is fetched by the user's word."""


class DeviceMissingError(MissingError):
    """There is no such device, or the installed PaddlePaddle was not built for it."""


class RunError(SegcoreError):
    """The run could not go on for reasons outside the program."""

    exit_code = 4


class StorageError(RunError):
    """A file could not be written: disk full, read-only, input/output error."""


class DivergedError(RunError):
    """The loss, a gradient or a weight is no longer finite."""


class ExhaustedError(RunError):
    """Memory of the device or the host ran out."""


class DownloadError(RunError):
    """A file could not be fetched, for reasons that may pass; what came is kept to go on from."""


class WorkerError(RunError):
    """A data worker died, hung, or lost its connection."""


class Interrupted(SegcoreError):  # noqa: N818  it was asked for
    """A signal asked the run to stop, and its state was saved."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = signum

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """128 plus the number of the signal, as shells count it."""
        return 128 + self.signum
