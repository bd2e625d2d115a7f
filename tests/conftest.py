"""What every test may use: the profile of Hypothesis, real data where it is at hand, a cache folder of its own."""

from __future__ import annotations

import os
from importlib.util import find_spec
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


FRAMEWORKS = {"keras": "tf2onnx", "torch": "onnxscript"}
"""Extras whose tests need them, and a library that only they bring."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests on real data where the shared folder is missing, and those of extras that are not installed."""
    for extra, library in FRAMEWORKS.items():
        missing = pytest.mark.skip(reason=f"the extra '{extra}' is not installed; .ci/full runs these tests")
        for item in items:
            if item.get_closest_marker(extra) and find_spec(library) is None:
                item.add_marker(missing)
    if DATA.exists():
        return
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.skip(reason="no shared folder of real models and images beside the checkout"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared folder of real models and images."""
    return DATA
