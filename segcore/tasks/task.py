"""A task: what one kind of segmentation feeds a network, asks of it, and makes of its answers.

The training loop, evaluation, prediction and export know tasks by this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from segcore.config.shared import shared_values
from segcore.discovery.build import build_component
from segcore.errors import ConfigError, RequestError
from segcore.tasks.agreement import disagreement
from segcore.tasks.result import Result
from segcore.tasks.sample import Sample

if TYPE_CHECKING:
    import paddle

    from segcore.checkpoint.ownership import Recogniser
    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import InferenceSession, Metric
    from segcore.tasks.coco_results import CocoIds
    from segcore.tasks.result import Predicted

__all__ = ["Task"]

_FREE_SIZES_PX = (128, 192)  # stand for a free height and width when an export is tried


class Task(ABC):
    """One kind of segmentation, set up for one configuration.

    `class_names` are the names of the classes in the order of their numbers.
    """

    name: ClassVar[str]
    has_scores: ClassVar[bool] = False
    """Whether results are found with a score, of which `predict.score_threshold` is the lowest."""
    folder_names: ClassVar[Mapping[str, Recogniser]] = {}
    """The names in `folder_files`, each with what knows an earlier file from one of others."""

    def __init__(self, config: Config, class_names: Sequence[str], catalogue: Catalogue) -> None:
        self.config = config
        self.class_names = tuple(class_names)
        self.catalogue = catalogue

    @staticmethod
    @abstractmethod
    def collate(samples: list[Sample]) -> Any:
        """Join training samples to one batch.

        It travels to data workers by pickle, so it is a function of a module without paddle.
        """

    @abstractmethod
    def losses(self, network: paddle.nn.Layer, batch: Any) -> Mapping[str, paddle.Tensor]:
        """Run `network` on `batch`; give the loss to minimise as `loss`, its parts beside it."""

    @abstractmethod
    def inference_network(self, network: paddle.nn.Layer) -> paddle.nn.Layer:
        """Wrap `network` into what exports hold: arrays in, final arrays out."""

    @abstractmethod
    def input_specs(self) -> list[paddle.static.InputSpec]:
        """Describe the inputs of `inference_network`, with None where a size is free."""

    def example_inputs(self, size: tuple[int, int] | None = None) -> Mapping[str, np.ndarray]:
        """Draw inputs of `inference_network` to try it with: noise in -1..1, by name.

        `size` is the height and the width of the one image, in pixels.
        """
        generator = np.random.default_rng(0)
        shapes = {
            spec.name: _example_shape(spec, size or _FREE_SIZES_PX) for spec in self.input_specs()
        }
        return {
            name: generator.uniform(-1.0, 1.0, shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    def disagreement(
        self, expected: Sequence[np.ndarray], actual: Sequence[np.ndarray]
    ) -> str | None:
        """Say how the outputs `actual` of an export depart from `expected`, or None."""
        return disagreement(expected, actual)

    @abstractmethod
    def deployment(self) -> Mapping[str, Any]:
        """Give what `inference.yml` says under `Deploy` about the graph's inputs and outputs."""

    def foreign_sections(self, steps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:  # noqa: ARG002
        """Give what other programs look for in `inference.yml` outside of `Deploy`.

        `steps` are the transforms that prepare images, each with every option.
        """
        return {}

    @abstractmethod
    def session(self, network: paddle.nn.Layer) -> InferenceSession:
        """Run `network` itself, in eval mode, behind the interface of inference runtimes."""

    @abstractmethod
    def infer(self, session: InferenceSession, samples: Sequence[Sample]) -> list[Any]:
        """Predict each prepared sample, in the size that its image had before preparation."""

    @abstractmethod
    def truth(self, sample: Sample) -> Any:
        """Give what metrics compare the prediction of `sample` with. Raises DataError for none."""

    def result(self, prediction: Any, predicted: Predicted) -> Result:
        """Make a result of what `infer` said about an image; the task's spec names its class."""
        of: Any = self.catalogue.tasks.find(self.name).spec.load_result()
        result: Result = of(prediction, predicted)
        return result

    def result_files(self) -> Mapping[str, Recogniser]:
        """Give what knows earlier files of results, by what they add to the name of an image."""
        of: Any = self.catalogue.tasks.find(self.name).spec.load_result()
        kind: Any = of if isinstance(of, type) else getattr(of, "__self__", Result)
        found: Mapping[str, Recogniser] = kind.recognisers()
        return found

    def check_ids(self, ids: CocoIds) -> None:
        """Raise RequestError unless results can be written with the ids of a COCO file."""
        raise RequestError(
            f"{ids.source} numbers objects, and {self.name} models find none: leave it out"
        )

    def folder_files(
        self,
        results: Sequence[Mapping[str, Any]],  # noqa: ARG002
        ids: CocoIds | None = None,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Give what a folder of results holds besides those of each image, as JSON by file name.

        `results` are the JSON forms of the results, in the order of the images. `ids`, which
        `check_ids` has passed, number images and classes.
        """
        return {}

    def memory_settings(self) -> str:
        """Name the settings that decide how much memory training takes, with their values."""
        width, height = self.config.train.crop_size
        return (
            f"train.batch_size={self.config.train.batch_size} and train.crop_size={width}x{height}"
        )

    def metrics(self) -> list[Metric]:
        """Build the metrics that the configuration asks for.

        Raises ConfigError for one of another task, and for wrong options.
        """
        shared = shared_values(self.config)
        built = []
        for component in self.config.eval.metrics:
            entry = self.catalogue.metrics.find(component.type)
            if entry.spec.task != self.name:
                raise ConfigError(
                    f"eval.metrics: {component.type} measures {entry.spec.task} models, but "
                    f"{self.config.model.name} is {self.name}; name a metric of that task"
                )
            metric = build_component(
                entry,
                component.options,
                shared,
                num_classes=len(self.class_names),
                ignore_index=self.config.data.ignore_index,
                class_names=self.class_names,
            )
            built.append(metric)
        return built


def _example_shape(spec: paddle.static.InputSpec, image: tuple[int, int]) -> list[int]:
    """Give the shape that `spec` asks for, with 1 image of 3 channels where it leaves them free."""
    free = (1, 3, *image)
    return [
        free[axis] if size is None or size < 0 else int(size)
        for axis, size in enumerate(spec.shape)
    ]
