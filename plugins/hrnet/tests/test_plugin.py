"""What the plugin declares is true, and complete."""

from importlib import resources

import pytest

import segcore_hrnet
from segcore.config.load import read_yaml
from segcore.config.schema import Config
from segcore.discovery.first_party import first_party_offers
from segcore_hrnet.plugin import segcore_backbones, segcore_models

SPECS = segcore_models()


def recipe_of(spec):
    package, _, path = spec.recipe.partition(":")
    assert package == segcore_hrnet.__name__
    with resources.as_file(resources.files(package) / path) as file:
        return Config.model_validate({"model": {"name": spec.name}, **read_yaml(file)})


@pytest.mark.parametrize(
    ("kind", "specs"),
    [("model", SPECS), ("backbone", segcore_backbones())],
    ids=["model", "backbone"],
)
def test_what_is_offered_is_what_the_core_knows_of(kind, specs):
    offers = [o for o in first_party_offers(kind) if o.distribution == "segcore-hrnet"]
    known = {offer.name: offer.aliases for offer in offers}
    assert {spec.name: spec.aliases for spec in specs} == known


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_recipe_is_the_published_training(spec):
    train = recipe_of(spec).train
    is_fcn = spec.name.startswith("HRNet-FCN")
    assert (train.iters, train.batch_size) == (80_000 if is_fcn else 160_000, 2)
    assert train.optimizer.weight_decay == (5e-4 if is_fcn else 4e-5)
    assert train.output_weights == (None if is_fcn else (1.0, 0.4))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_options_name_the_backbone_of_the_model(spec):
    width = spec.name.replace("OCRNet_HRNet-", "").replace("HRNet-FCN-", "")
    assert spec.load_options()().backbone == f"HRNet_{width}"


def test_every_backbone_of_the_models_is_offered_to_others():
    backbones = {spec.name for spec in segcore_backbones()}
    assert {spec.load_options()().backbone for spec in SPECS} == backbones
