"""Run a network as it was trained, from weights and configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segcore.checkpoint.weights import load_into, read_weights
from segcore.devices.framework import require_paddle
from segcore.errors import WeightsError
from segcore.nn.nearest import nearest_model_in
from segcore.tasks.serial import SerialSession

if TYPE_CHECKING:
    import paddle

    from segcore.config.schema import Config
    from segcore.discovery.catalogue import Catalogue
    from segcore.protocols import Device, InferenceSession, ModelSource
    from segcore.tasks.task import Task

__all__ = ["Eager", "create_task", "task_of"]


class Eager:
    """The runtime `eager`: no export is needed, and logits are at hand; the slower one."""

    def refusal(self, source: ModelSource) -> str | None:
        if source.weights is None:
            return "it runs weights (model.pdparams), and there are none"
        if source.config is None:
            return f"{source.weights} has no config.yaml beside it that says which network it is"
        return None

    def load(self, source: ModelSource, device: Device, index: int) -> InferenceSession:
        reason = self.refusal(source)
        if reason is not None or source.config is None:
            raise WeightsError(f"the runtime eager cannot run this model: {reason}")
        place = device.place(index)
        require_paddle().set_device(place)
        session = create_task(source.config, None).session(load_network(source))
        # forward functions of plugins may keep things in their layers
        return SerialSession(session, survives_fork=place == "cpu")


def load_network(source: ModelSource) -> paddle.nn.Layer:
    """Build the network of `source` with its weights, in eval mode. Raises SegcoreError."""
    from segcore.discovery.catalogue import get_catalogue

    if source.config is None or source.weights is None:
        raise WeightsError("a network takes weights and the configuration that they belong to")
    config = source.config
    if config.data.num_classes is None:
        raise WeightsError(f"{source.weights}: set data.num_classes in the config.yaml beside it")
    catalogue = get_catalogue()
    entry = catalogue.models.find(config.model.name)
    network = catalogue.build_model(entry, config.data.num_classes, config.model.options)
    load_into(
        network.state_dict(),
        read_weights(source.weights, sha256=source.sha256),
        source=str(source.weights),
        model=f"{entry.name} with {config.data.num_classes} classes",
        nearest_model=nearest_model_in(catalogue, entry.spec.task),
    )
    network.eval()
    return network


def create_task(
    config: Config, class_names: tuple[str, ...] | None, task_name: str | None = None
) -> Task:
    """Set up the task of the model that `config` names, or `task_name` where it is known.

    Without names the classes are called by their numbers.
    """
    from segcore.discovery.catalogue import get_catalogue

    require_paddle()  # tasks import it, and should find it as it is wanted
    catalogue = get_catalogue()
    task_name = task_name or task_of(config, catalogue)
    if class_names is None:
        class_names = tuple(str(number) for number in range(config.data.num_classes or 256))
    task: Task = catalogue.tasks.find(task_name).load_target()(config, class_names, catalogue)
    return task


def task_of(config: Config, catalogue: Catalogue) -> str:
    """Give the name of the task of the model that `config` names.

    A model of a plugin that is not installed counts as semantic: exported graphs run without their
    plugin, and those of others than segcore do not say their task.
    """
    known = config.model.name in catalogue.models
    return catalogue.models.find(config.model.name).spec.task if known else "semantic"
