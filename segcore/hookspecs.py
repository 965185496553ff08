"""Every hook that a plugin may implement.

A plugin is a module (or an object) named by an entry point of the group `segcore.plugins`. It
implements any of these with `@segcore.plugin.hookimpl`. All but `segcore_build_model` are called
once, when the program first needs the catalogue; they must be quick and import nothing heavy.
They return specs, or nothing. segcore's own components come in through the same hooks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from segcore import specs

if TYPE_CHECKING:
    import paddle
    from pydantic import BaseModel

hookspec = pluggy.HookspecMarker("segcore")


@hookspec
def segcore_models() -> Iterable[specs.ModelSpec]:
    """Declare networks. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec(firstresult=True)
def segcore_build_model(
    spec: specs.ModelSpec, num_classes: int, options: BaseModel | None
) -> paddle.nn.Layer | None:
    """Build the network that `spec` declares, with random weights.

    Called when a model is created, for the plugin that declared `spec` first and for segcore's own
    implementation last, which calls `spec.target`. Return None to leave it to the next one.
    `options` is an instance of `spec.options`. Since 0.1.
    """
    return None


@hookspec
def segcore_backbones() -> Iterable[specs.BackboneSpec]:
    """Declare feature extractors. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_losses() -> Iterable[specs.LossSpec]:
    """Declare losses. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_metrics() -> Iterable[specs.MetricSpec]:
    """Declare metrics. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_transforms() -> Iterable[specs.TransformSpec]:
    """Declare transforms of samples. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_tasks() -> Iterable[specs.TaskSpec]:
    """Declare tasks (semantic, instance, ...). Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_dataset_formats() -> Iterable[specs.DatasetFormatSpec]:
    """Declare layouts of datasets on disk. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_converters() -> Iterable[specs.ConverterSpec]:
    """Declare formats that datasets are converted from and to.

    Called when the catalogue is read. Since 0.1.
    """
    return ()


@hookspec
def segcore_exporters() -> Iterable[specs.ExporterSpec]:
    """Declare formats that models are exported to. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_devices() -> Iterable[specs.DeviceSpec]:
    """Declare kinds of devices. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_runtimes() -> Iterable[specs.RuntimeSpec]:
    """Declare inference runtimes. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_observers() -> Iterable[specs.ObserverSpec]:
    """Declare observers of trainings. Called when the catalogue is read. Since 0.1."""
    return ()


@hookspec
def segcore_commands() -> Iterable[specs.CommandSpec]:
    """Declare verbs of the command line. Called when the catalogue is read. Since 0.1."""
    return ()
