"""What every test needs, of the core and of the plugins."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# One commit, one answer, however slow the machine is; `pytest --hypothesis-profile explore` looks
# for new examples.
_PATIENT = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **_PATIENT)
settings.register_profile("explore", **_PATIENT)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """Answer signals as in a terminal: who starts the tests in the background may ignore some.

    Commands that tests start would inherit that, and rightly keep to it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGCORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
