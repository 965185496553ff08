"""What segcore declares of itself exists."""

import pytest

from segcore.discovery.catalogue import get_catalogue
from segcore.discovery.verify import DECLARING_HOOKS

BUILTIN = get_catalogue().plugins[0]


def test_every_hook_is_implemented():
    assert set(BUILTIN.hooks) == {*DECLARING_HOOKS, "segcore_build_model"}


@pytest.mark.parametrize("spec", BUILTIN.specs, ids=lambda spec: f"{spec.kind} {spec.name}")
def test_target_and_options_can_be_imported(spec):
    assert callable(spec.load_target())
    options = spec.load_options()
    assert options is None or options.model_config["extra"] == "forbid"


@pytest.mark.parametrize("spec", BUILTIN.specs, ids=lambda spec: f"{spec.kind} {spec.name}")
def test_it_is_summarised(spec):
    assert spec.summary


def test_every_transform_is_its_own_option_model():
    for entry in get_catalogue().transforms:
        assert entry.load_options() is entry.load_target()
