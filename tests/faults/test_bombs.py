"""Small files that want much are refused, or read without more memory than they deserve."""

import pytest

from tests.campaigns import bombs


@pytest.mark.slow
@pytest.mark.parametrize("name", bombs.BOMBS)
def test_a_bomb_does_not_go_off(name, tmp_path):
    answer, fault = bombs.try_bomb(name, tmp_path)
    # how long it takes hangs on the machine: see the campaign
    assert not fault or (fault.startswith("takes ") and fault.endswith(" s")), answer


@pytest.mark.slow
def test_readers_without_limits_are_noticed(tmp_path):
    assert bombs.control(tmp_path) == ["zip-zeros", "json-numbers"]
