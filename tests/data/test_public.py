"""The Python face of `segcore data`."""

import subprocess
import sys

import pytest

from segcore import data


@pytest.mark.parametrize("name", data.__all__)
def test_every_public_name_is_there_and_explained(name):
    assert getattr(data, name).__doc__


def test_the_table_of_homes_is_that_of_the_names():
    assert list(data._HOMES) == data.__all__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(data, "nonsense")  # noqa: B009 - as text it is a useless expression


def test_importing_it_is_light():
    code = (
        "import sys, segcore.data\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'cv2', 'paddle', 'pydantic')))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
