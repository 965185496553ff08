"""The functions that `segcore.data` offers are there, and cost nothing until they are used."""

import subprocess
import sys

import pytest

import segcore.data


@pytest.mark.parametrize("name", segcore.data.__all__)
def test_what_is_exported_is_there(name):
    function = getattr(segcore.data, name)
    assert function.__name__ == name
    assert function.__doc__


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match=r"has no attribute 'fix_everything'"):
        segcore.data.fix_everything  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    code = "import sys, segcore.data; sys.exit(any(m in sys.modules for m in ('numpy', 'cv2')))"
    subprocess.run([sys.executable, "-c", code], check=True)
