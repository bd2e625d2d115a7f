"""What every test may use: the profile of Hypothesis, real data where it is at hand, a cache folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("tilewise", deadline=None, max_examples=60)
hypothesis.settings.load_profile("tilewise")

DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests find out about models must not come from, or go to, the user's own cache."""
    os.environ["TILEWISE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data where the shared folder is missing."""
    if DATA.exists():
        return
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="no shared folder of real models and images beside the checkout"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared folder of real models and images."""
    return DATA
