"""A small catalogue, so that these tests hang on no plugin and on none of segcore's components."""

import sys
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, ConfigDict, Field

from segcore.discovery.names import name_key, nearest
from segcore.errors import UnknownNameError
from segcore.specs import LossSpec, MetricSpec, ModelSpec, ObserverSpec, TransformSpec


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CropOptions(Options):
    crop_size: int | None = Field(None, ge=1)
    prob: float = Field(0.5, ge=0, le=1)


class NetOptions(Options):
    backbone: str = "STDC1"
    channels: int = 8


class CareLess(BaseModel):
    """What a stranger writes: neither strict nor does it forbid anything."""

    scale: float = 1.0


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


# Those that the schema names by default.
DEFAULT_TRANSFORMS = {
    "ResizeStepScaling": Open,
    **dict.fromkeys(("RandomPaddingCrop", "RandomHorizontalFlip", "RandomDistort", "Normalize")),
}


class Registry(list):
    def find(self, name):
        for entry in self:
            if name_key(entry.name) == name_key(name):
                return entry
        guess = nearest(name, self.names(), 1)
        raise UnknownNameError(f"there is no {name!r}; did you mean {guess}?")

    def names(self):
        return [entry.name for entry in self]


def registry(kind, **options):
    specs = [
        kind(name=name, target="nowhere:nothing", options=model) for name, model in options.items()
    ]
    return Registry(
        SimpleNamespace(name=spec.name, spec=spec, load_options=spec.load_options) for spec in specs
    )


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Write the recipe of the model WithRecipe, inside an importable package."""
    package = tmp_path / "net_package"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "net_package", raising=False)
    yield (package / "net.yaml").write_text
    sys.modules.pop("net_package", None)


@pytest.fixture
def catalogue():
    models = registry(ModelSpec, Net=NetOptions, Plain=None)
    spec = ModelSpec(
        name="WithRecipe",
        target="nowhere:nothing",
        options=NetOptions,
        recipe="net_package:net.yaml",
    )
    models.append(SimpleNamespace(name=spec.name, spec=spec, load_options=spec.load_options))
    return SimpleNamespace(
        models=models,
        transforms=registry(
            TransformSpec, Crop=CropOptions, Flip=None, Stranger=CareLess, **DEFAULT_TRANSFORMS
        ),
        losses=registry(LossSpec, CrossEntropyLoss=CropOptions),
        metrics=registry(MetricSpec, SegmentationMetrics=None),
        observers=registry(ObserverSpec, CSVLog=None),
        tasks=Registry([SimpleNamespace(name="semantic", spec=SimpleNamespace(recipe=None))]),
    )
