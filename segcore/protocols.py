"""What the targets of specs must be: the shapes of the things that plugins build.

These are protocols: a class that has the members is one, no inheritance needed. Arrays are NumPy's,
images are (H, W, C) RGB before they are batched and (N, C, H, W) after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from segcore.config.schema import Config
    from segcore.tasks.sample import Sample
    from segcore.tasks.task import Task


@runtime_checkable
class Transform(Protocol):
    """Change a sample: resize, crop, distort, normalise."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return the changed sample; `rng` is the only source of randomness allowed.

        `rng` depends on (seed, epoch, sample index) alone, so a resumed training repeats itself.
        """
        ...


@runtime_checkable
class Dataset(Protocol):
    """Samples by index. It travels to worker processes by pickle and must not import paddle.

    It may also have `check(index)`, which raises DataError where `load` would and is quicker: it is
    called for every sample before a training begins; `content_files()`, which yields the path of
    every file that samples are made of, in an order that stays: a resumed run must find the same
    bytes in them; `warnings`, lines that are said once; and `class_colours`, a colour (red, green,
    blue) or None for each class.
    """

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def load(self, index: int) -> Sample:
        """Read sample `index`. Raises DataError that names the file and the line of the list."""
        ...

    def describe(self, index: int) -> str:
        """Say where sample `index` comes from, for messages."""
        ...

    def fingerprint(self) -> str:
        """Digest of what the dataset lists; a resumed run must find the same."""
        ...


@runtime_checkable
class DatasetFormat(Protocol):
    """A layout of datasets on disk.

    It may also have `splits(root, config)`, the names of the splits that `root` holds; without it,
    all of `train`, `val` and `test` are expected where a command looks at a whole dataset.

    It may have `inspect(root, data, splits, collector, *, workers, progress)`, which tells
    `collector` everything that is wrong and gives a census (see `segcore.data.inspection`); without
    it the samples are checked one by one. And `files(root, data, splits)`, which names every file
    that decides whether they pass, so that a training need not check twice.
    """

    def detects(self, root: Path) -> bool:
        """Say whether `root` holds a dataset of this layout, by looking at names only."""
        ...

    def open(self, root: Path, split: str, config: Config) -> Dataset:
        """Open the split `train`, `val` or `test`. Raises DataError."""
        ...


class Metric(Protocol):
    """Measure predictions against labels over a whole dataset.

    Built with `num_classes`, `ignore_index` and `class_names` besides its options.
    """

    def update(self, prediction: Any, truth: Any) -> None:
        """Count one image; for semantic tasks both are class maps (H, W).

        For instance tasks they are a `segcore.tasks.instances.Detections` and a `Truth`.
        """
        ...

    def compute(self) -> Mapping[str, Any]:
        """Give the values by name: numbers, or lists of one number a class."""
        ...


class Observer(Protocol):
    """Watch a training; inherit and override what you need.

    One that raises is reported, and left out after three failures; the training goes on.
    """

    def started(self, config: Config, output: Path) -> None:
        """Training is about to begin or to go on."""

    def logged(self, record: Mapping[str, Any]) -> None:
        """A line was added to metrics.jsonl: `step`, `loss`, `learning_rate`, ..."""

    def evaluated(self, record: Mapping[str, Any]) -> None:
        """An evaluation ended; `record` holds the metrics."""

    def stopped(self, record: Mapping[str, Any]) -> None:
        """Training ended; `record` is what train_result.json holds."""


class Device(Protocol):
    """A kind of device, such as the CPU or NVIDIA GPUs."""

    def unavailable_reason(self) -> str | None:
        """Say why the device cannot be used here and what to do about it, or None when it can."""
        ...

    def count(self) -> int:
        """Count the devices of this kind."""
        ...

    def place(self, index: int) -> str:
        """Name device `index` as `paddle.set_device` does."""
        ...

    def synchronize(self, index: int) -> None:
        """Wait until device `index` has done its work; needed before reading a clock."""
        ...

    def peak_memory_bytes(self, index: int) -> int | None:
        """Give the most memory used on device `index` so far, or None where it is not counted."""
        ...

    def configure_inference(self, config: Any, index: int) -> None:
        """Point a `paddle.inference.Config` at device `index`. Raises DeviceMissingError."""
        ...


@dataclass(frozen=True)
class ModelSource:
    """The files of a model: an exported graph, or weights and the configuration they came with.

    `sha256` is the digest that the weights must have, where it is known from elsewhere than a
    manifest beside them.
    """

    export_dir: Path | None = None
    weights: Path | None = None
    config: Config | None = None
    sha256: str | None = None


class InferenceSession(Protocol):
    """A loaded model, ready to run, by several threads at once and by children after a fork.

    Every call gives the answer to its own inputs, in arrays that no later call changes. What cannot
    do that by itself does it behind `segcore.tasks.serial.SerialSession`, which lets threads in one
    by one; `segcore.testing.runtime` checks it.
    """

    def run(self, inputs: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        """Run the model on arrays by input name and give its outputs in order.

        A device that cannot be used after a fork is refused with RequestError.
        """
        ...


class Runtime(Protocol):
    """An engine that runs models for inference."""

    def refusal(self, source: ModelSource) -> str | None:
        """Say why this runtime cannot run `source` here, or None when it can."""
        ...

    def load(self, source: ModelSource, device: Device, index: int) -> InferenceSession:
        """Load the model onto device `index`. Raises SegcoreError.

        Several threads may load at once; sessions share nothing that a run changes.
        The files were compared with their manifests just before. Where a runtime can run an
        exported graph alone, `source` has no weights, and where it runs weights, no graph.
        """
        ...


class Exporter(Protocol):
    """A format that trained networks are exported to."""

    def export(self, network: paddle.nn.Layer, task: Task, output: Path) -> list[Path]:
        """Write the files of the exported model into the new, empty folder `output`.

        `network` is `task.inference_network(...)` in eval mode (class maps in the graph for
        semantic tasks) and `task.input_specs()` describes its inputs. Raises ExportError when the
        exported model does not compute what `network` computes. The caller moves the folder to
        its final name, so a half-written export is never seen.
        """
        ...
