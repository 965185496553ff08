"""Models to test with: one that needs no training, and one that trains in milliseconds.

`Strongest-Colour` finds the strongest colour of each pixel; `Toy` is in `toy.py`.
"""

import sys
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from segcore.testing.site import Site
from tests import strongest_colour, toy_instance
from tests.outcome import digest_run


@pytest.fixture(scope="session")
def colour_site(tmp_path_factory):
    """A folder in which the plugin of the model Strongest-Colour is installed."""
    site = Site(tmp_path_factory.mktemp("colour_site"))
    strongest_colour.install(site)
    return site


@pytest.fixture
def colours(colour_site, monkeypatch):
    """The catalogue with the model Strongest-Colour, also for those who ask for the common one."""
    from segcore.discovery import catalogue as catalogues

    monkeypatch.syspath_prepend(str(colour_site.folder))
    monkeypatch.setattr(catalogues, "_catalogues", {})
    yield catalogues.get_catalogue()
    for name in ("strongest_colour", "strongest_colour_network"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def _colour_run(tmp_path_factory):
    return tmp_path_factory.mktemp("colour_run") / "run"


@pytest.fixture
def colour_run(_colour_run, colours):
    """A run folder as training leaves it; the classes are red, green and blue."""
    if not _colour_run.exists():
        strongest_colour.write_run(_colour_run, colours)
    return _colour_run


def _beside(name):
    spec = spec_from_file_location(f"{name}_sources", Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def webserver():
    """The module with the web server of the tests, and its pages."""
    return _beside("webserver")


@pytest.fixture
def web(webserver, monkeypatch, tmp_path):
    """A web server without pages yet; proxies are out of the way, and the cache is empty."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGCORE_OFFLINE", raising=False)
    with webserver.WebServer() as server:
        yield server


# name of the plugin, module of its network, file of both beside this one
_TOYS = (
    ("toy_plugin", "toy_network", "toy"),
    ("toy_boxes", "toy_boxes_network", "toy_instance"),
)


@pytest.fixture
def secure(webserver, monkeypatch, tmp_path):
    """A server of https, which is trusted, and a cache of our own; ask for it before `toys`."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("SEGCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEGCORE_OFFLINE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(webserver.CERTIFICATE))
    with webserver.secure_server() as server:
        monkeypatch.setenv("TOY_SERVER", server.address)
        yield server


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory):
    """A folder in which the toy plugins are installed."""
    site = Site(tmp_path_factory.mktemp("site"))
    for plugin, network, home in _TOYS:
        sources = _beside(home)
        site.install(plugin, sources.PLUGIN)
        site.write(site.folder / f"{network}.py", sources.NETWORK)
    return site


@pytest.fixture
def toys(toy_site, monkeypatch):
    """The catalogue with the toy plugins, also for those who ask for the common one."""
    from segcore.discovery import catalogue as catalogues

    monkeypatch.syspath_prepend(str(toy_site.folder))
    monkeypatch.setattr(catalogues, "_catalogues", {})
    yield catalogues.get_catalogue()
    for name in (name for toy in _TOYS for name in toy[:2]):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A small dataset: 20 images of 64 x 64 pixels, 4 of them held out."""
    from segcore.data.demo import draw_dataset

    return draw_dataset(tmp_path_factory.mktemp("shapes") / "data", "shapes", images=20, size=64)


@pytest.fixture(scope="session")
def objects(tmp_path_factory):
    """A small COCO dataset: 15 images of 64 x 64 pixels, 3 of them held out."""
    from segcore.data.demo import draw_dataset

    root = tmp_path_factory.mktemp("objects") / "data"
    return draw_dataset(root, "instances", images=15, size=64)


@pytest.fixture
def instance_settings():
    """What the toy instance network is trained and measured with, as `key=value` texts."""
    return toy_instance.SETTINGS


@pytest.fixture
def configure_instances(configure, objects):
    """Give what makes a configuration of the toy instance network."""
    return partial(configure, *toy_instance.SETTINGS, model="Toy-Boxes", data=objects)


@pytest.fixture
def configure(toys, shapes):
    """Give what makes a configuration of the toy network from `key=value` texts."""
    from segcore.config.resolve import resolve_config

    def make(*overrides, model="Toy", data=shapes):
        settings = (
            "train.iters=8",
            "train.batch_size=4",
            "train.crop_size=[48, 48]",
            "train.log_interval=1",
            "train.num_workers=0",
            "train.eval_interval=4",
            *overrides,
        )
        return resolve_config(model, None, settings, {"data.path": str(data)}, toys).config

    return make


@pytest.fixture
def digests():
    """Give what digests the outcome of a run: its last state, best weights and history."""

    return digest_run
