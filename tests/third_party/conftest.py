import pytest

from segcore.testing.site import Site


@pytest.fixture
def site(tmp_path):
    """An empty folder of installed plugins."""
    return Site(tmp_path / "site")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """One good plugin among broken ones of every kind."""
    site = Site(tmp_path_factory.mktemp("crowd"))
    site.install("good", GOOD)
    for name, (code, requires) in BROKEN.items():
        site.install(name, code, requires=requires)
    return site


GOOD = """
from segcore.plugin import ModelSpec, hookimpl

@hookimpl
def segcore_models():
    return [ModelSpec(name="GoodNet", target="good_network:GoodNet", aliases=("FineNet",))]
"""

ANY = ("segcore>=0.1",)
HEAD = "from segcore.plugin import LossSpec, ModelSpec, hookimpl\n"

BROKEN = {
    "raises": ("raise RuntimeError('no luck')", ANY),
    "syntax": ("def (:\n", ANY),
    "exits": ("import sys\nsys.exit(7)", ANY),
    "needy": ("import a_module_that_nobody_has", ANY),
    "absent": (None, ANY),
    "misspelt": (HEAD + "@hookimpl\ndef segcore_modles():\n    return []\n", ANY),
    "bare": (HEAD + "def segcore_models():\n    return []\n", ANY),
    "greedy": (HEAD + "@hookimpl\ndef segcore_models(config):\n    return []\n", ANY),
    "hook_raises": (HEAD + "@hookimpl\ndef segcore_losses():\n    return 1 / 0\n", ANY),
    "hook_exits": (HEAD + "@hookimpl\ndef segcore_losses():\n    raise SystemExit(3)\n", ANY),
    "number": (HEAD + "@hookimpl\ndef segcore_models():\n    return 5\n", ANY),
    "strings": (HEAD + "@hookimpl\ndef segcore_models():\n    return ['Net']\n", ANY),
    "wrong_kind": (
        HEAD + "@hookimpl\ndef segcore_models():\n    return [LossSpec(name='L', target='a:b')]\n",
        ANY,
    ),
    "bad_target": (
        HEAD + "@hookimpl\ndef segcore_models():\n    return [ModelSpec(name='N', target='a.b')]\n",
        ANY,
    ),
    "flood": (
        HEAD + "@hookimpl\ndef segcore_models():\n"
        "    return [ModelSpec(name=f'N{i}', target='a:b') for i in range(100_000)]\n",
        ANY,
    ),
    "endless": (
        HEAD + "from itertools import count\n@hookimpl\ndef segcore_models():\n"
        "    return (ModelSpec(name=f'N{i}', target='a:b') for i in count())\n",
        ANY,
    ),
    "untyped": (
        HEAD + "@hookimpl\ndef segcore_models():\n"
        "    return [ModelSpec(name='N', target='a:b', parameters='8 M')]\n",
        ANY,
    ),
    "twice": (
        HEAD + "@hookimpl\ndef segcore_models():\n"
        "    return [ModelSpec(name=n, target='a:b') for n in ('Net-1', 'net_1')]\n",
        ANY,
    ),
    "tomorrow": ("raise AssertionError('imported')", ("segcore>=99",)),
    "silent": ("raise AssertionError('imported')", ("numpy",)),
}
