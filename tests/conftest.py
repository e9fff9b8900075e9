"""What every test file uses: Hypothesis profiles, whole-message errors, and parts that may be missing."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings

from im2col.engine import gather, scatter

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline and no complaint about slow data: CI machines are shared. In CI the same cases are drawn every time.
# "fast", for `make mutate`, is content with knowing that something is wrong: it makes no failing case smaller.
_SHARED_MACHINE = [HealthCheck.too_slow]
settings.register_profile(
    "default",
    max_examples=60,
    deadline=None,
    suppress_health_check=_SHARED_MACHINE,
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile(
    "fast",
    max_examples=20,
    deadline=None,
    suppress_health_check=_SHARED_MACHINE,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("IM2COL_TEST_PROFILE", "default"))

_QUIET = (
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)
"""What keeps Chromium from asking the network for anything of its own."""


def missing(what: str) -> NoReturn:
    """Skip the running test because a part is missing; fail it where IM2COL_REQUIRE_ALL is set."""
    if os.environ.get("IM2COL_REQUIRE_ALL"):
        pytest.fail(f"{what}, and IM2COL_REQUIRE_ALL is set")
    pytest.skip(what)


def require(name: str) -> Any:
    """Return an optional package, such as ``require("torch")``; see `missing` for when it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"{name} is not installed")


@pytest.fixture(scope="session")
def torch() -> Any:
    """Return torch, where it is installed."""
    return require("torch")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start headless Chromium once for all tests of a process; see `missing` for when there is none."""
    api = require("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[f"--{name}" for name in _QUIET])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=["default", "kernels"])
def every_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test as it is, then with compiled kernels and threads for arrays of any size, which NumPy copies faster."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "kernels":
            require("llvmlite")
            for module in (gather, scatter):
                for threshold in ("_WORTH_A_CALL", "_WORTH_LOADING", "_WORTH_A_THREAD"):
                    patch.setattr(module, threshold, 1)
        yield


@contextmanager
def raises_exactly(error: type[Exception], message: str) -> Iterator[None]:
    """Assert that the block raises `error` itself, no subclass of it, with the whole of `message`."""
    with pytest.raises(error, match=rf"\A{re.escape(message)}\Z") as caught:
        yield
    assert type(caught.value) is error
