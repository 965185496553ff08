import sys
from types import ModuleType

import paddle
import pytest
from pydantic import BaseModel, ConfigDict, Field

from segcore.discovery.catalogue import BUILTIN, Catalogue
from segcore.discovery.find import FoundPlugin
from segcore.discovery.load import Plugin, load_plugin
from segcore.errors import ConfigError, PluginBrokenError
from segcore.specs import ModelSpec


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    width: int = Field(4, ge=1)


class Net(paddle.nn.Layer):
    def __init__(self, num_classes, width=1):
        super().__init__()
        if width == 13:
            raise RuntimeError("unlucky")
        self.num_classes, self.width = num_classes, width


@pytest.fixture(autouse=True)
def module(monkeypatch):
    networks = ModuleType("networks_for_build")
    networks.Net, networks.number = Net, lambda num_classes: num_classes
    monkeypatch.setitem(sys.modules, "networks_for_build", networks)


def build(options=None, implementation=None, *, takes=Options, target="Net"):
    spec = ModelSpec(name="Net", target=f"networks_for_build:{target}", options=takes)
    found = FoundPlugin(name="x", value="x", distribution="segcore-x", version="1.0")
    stranger = Plugin(found=found, status="ok", specs=(spec,), build_model=implementation)
    catalogue = Catalogue([load_plugin(BUILTIN, "0.1.0"), stranger])
    return catalogue.build_model(spec, 7, options)


def test_the_target_gets_the_class_count_and_every_option():
    network = build({"width": 2})
    assert (network.num_classes, network.width) == (7, 2)


def test_options_left_out_take_their_defaults():
    assert build().width == 4


def test_the_plugins_own_hook_comes_first():
    assert build(implementation=lambda num_classes: Net(num_classes, 99)).width == 99


def test_a_hook_that_gives_none_leaves_it_to_segcore():
    assert build(implementation=lambda spec, options: None).width == 4


def test_a_misspelt_option_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"widht: no such option; did you mean 'width'\?"):
        build({"widht": 2})


def test_all_wrong_options_are_named_at_once():
    with pytest.raises(ConfigError, match=r"width: .*\(got 0\); other: no such option"):
        build({"width": 0, "other": 1})


def test_options_of_a_model_that_takes_none_are_refused():
    with pytest.raises(ConfigError, match="takes no options, but got 'width'"):
        build({"width": 1}, takes=None)


def test_something_else_than_a_network_is_refused():
    with pytest.raises(PluginBrokenError, match=r"segcore-x 1.0\): building Net gave a int"):
        build(takes=None, target="number")


def test_a_constructor_that_raises_is_named_with_its_arguments():
    with pytest.raises(PluginBrokenError, match=r"width=13.* raised RuntimeError: unlucky"):
        build({"width": 13})


def test_a_target_that_is_nowhere_names_the_import_string():
    with pytest.raises(PluginBrokenError, match="'networks_for_build:Nothing' cannot be imported"):
        build(target="Nothing")
