"""All that a plugin author imports: light, and stable from one minor version to the next.

The smallest plugin is one module and one entry point; `docs/plugins.md` shows it whole.
"""

from __future__ import annotations

import pluggy

from segcore.annotation import (
    IGNORED,
    AnnotatedDataset,
    AnnotatedImage,
    AnnotationWriter,
    Classes,
    ConvertedImage,
    Converter,
    Note,
    Region,
)
from segcore.protocols import (
    Dataset,
    DatasetFormat,
    Device,
    Exporter,
    InferenceSession,
    Metric,
    Observer,
    Runtime,
    Transform,
)
from segcore.specs import (
    BackboneSpec,
    CommandSpec,
    ConverterSpec,
    DatasetFormatSpec,
    DeviceSpec,
    ExporterSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    ObserverSpec,
    Published,
    RuntimeSpec,
    Score,
    Spec,
    TaskSpec,
    TransformSpec,
    WeightsSpec,
)

__all__ = [
    "IGNORED",
    "AnnotatedDataset",
    "AnnotatedImage",
    "AnnotationWriter",
    "BackboneSpec",
    "Classes",
    "CommandSpec",
    "ConvertedImage",
    "Converter",
    "ConverterSpec",
    "Dataset",
    "DatasetFormat",
    "DatasetFormatSpec",
    "Device",
    "DeviceSpec",
    "Exporter",
    "ExporterSpec",
    "InferenceSession",
    "LossSpec",
    "Metric",
    "MetricSpec",
    "ModelSpec",
    "Note",
    "Observer",
    "ObserverSpec",
    "Published",
    "Region",
    "Runtime",
    "RuntimeSpec",
    "Score",
    "Spec",
    "TaskSpec",
    "Transform",
    "TransformSpec",
    "WeightsSpec",
    "hookimpl",
]

hookimpl = pluggy.HookimplMarker("segcore")
