"""What every test needs, of the core and of the plugins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGCORE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
