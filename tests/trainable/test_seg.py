"""`segcore.trainable` finds the classes of models, and is light until one is asked for."""

import subprocess
import sys

import pytest

import segcore.trainable as pdx
from segcore.discovery import catalogue as catalogues
from segcore.testing.site import Site

PLUGIN = """
from segcore.plugin import ModelSpec, hookimpl

@hookimpl
def segcore_models():
    return [ModelSpec(name="Own", target="own_plugin:build")]

def __getattr__(name):
    if name != "Own":
        raise AttributeError(name)
    from own_class import Own
    return Own
"""

CLASS = """
from segcore.trainable import SemanticModel

class Own(SemanticModel):
    def __init__(self, num_classes=2):
        super().__init__("Own", num_classes, {})
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    site = Site(tmp_path)
    site.install("own_plugin", PLUGIN)
    site.write(site.folder / "own_class.py", CLASS)
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setattr(catalogues, "_catalogues", {})
    yield
    for name in ("own_plugin", "own_class"):
        sys.modules.pop(name, None)


def test_a_class_of_any_plugin_is_found(own):
    assert pdx.seg.Own(num_classes=3).num_classes == 3


def test_what_nobody_offers_is_told(own):
    with pytest.raises(AttributeError, match="no installed plugin offers"):
        _ = pdx.seg.Nothing
    with pytest.raises(AttributeError, match="no attribute"):
        _ = pdx.nothing


def test_what_is_offered_is_there():
    assert all(getattr(pdx, name) is not None for name in pdx.__all__)


def test_importing_it_is_light():
    code = (
        "import sys, segcore.trainable; sys.exit('paddle' in sys.modules or 'cv2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_a_plugin_imports_no_class_of_models(own):
    code = "import sys, own_plugin; sys.exit('segcore.trainable.model' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
