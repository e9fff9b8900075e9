"""What every test file uses: Hypothesis profiles and fixtures."""

from __future__ import annotations

import gc
import itertools
import math
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from im2col import memory
from im2col.engine import gather, host, scatter, threads

from .kit.browser import chromium
from .kit.copies import THRESHOLDS
from .kit.outcomes import require
from .kit.selection import in_turn, spanning

if TYPE_CHECKING:
    from collections.abc import Iterator

# No deadline and no complaint about slow data: CI machines are shared. In CI the same cases are drawn every time.
# "quick" is for `make test`, which runs few combinations of each test, too; "wide" is for `make test-all`. "fast", for
# `make mutate`, is content with knowing that something is wrong: it makes no failing case smaller.
_SHARED_MACHINE = [HealthCheck.too_slow]
for name, number in (("quick", 4), ("default", 12), ("wide", 60)):
    settings.register_profile(
        name,
        max_examples=number,
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
PROFILE = os.environ.get("IM2COL_TEST_PROFILE", "default")
settings.load_profile(PROFILE)


WIDE_FIXTURES = {"torch", "browser", "trained"}
"""Peers, the browser, and the network of the example, which learns for seconds."""

FEW = 2
"""So many combinations of each test are in `make test`."""


def axes_of(item: pytest.Function) -> list[tuple[int, ...]]:
    """Return which values a test has of each axis: of each `parametrize`, whose values are the same objects for all.

    A fixture of several values is an axis, too.
    """
    axes, rest = [], dict(item.callspec.params) if hasattr(item, "callspec") else {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0]
        axes.append(tuple(id(rest.pop(name.strip())) for name in names))
    return axes + [(id(value),) for value in rest.values()]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as wide what asks a peer or a browser, and of a test's combinations those that its axes do not need.

    Of those that are not, which hold each value of each axis, `make test` runs the first `FEW`. CI and `make mutate`
    run all of them; `make test-all` runs the wide ones too, or every so manieth where the environment says so. None is
    wide of a test that is marked ``whole``; of one that is marked ``every`` `make test` leaves out none that is not.
    """
    families: dict[str, list[pytest.Function]] = {}
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        if WIDE_FIXTURES.intersection(item.fixturenames):
            item.add_marker("wide")
        families.setdefault(item.nodeid.partition("[")[0], []).append(item)
    wide: list[list[pytest.Function]] = []
    left_out: set[pytest.Function] = set()
    for family in families.values():
        usual = [item for item in family if not item.get_closest_marker("wide")]
        axes = [axes_of(item) for item in usual]
        first = [usual[place] for place in spanning(axes)] if axes and axes[0] else usual
        whole = family[0].get_closest_marker("whole")
        if not whole:
            for item in set(usual).difference(first):
                item.add_marker("wide")
            wide.append([item for item in family if item not in first])
        if PROFILE == "quick" and not family[0].get_closest_marker("every"):
            left_out.update(set(usual if whole else first).difference(first[:FEW]))
    left_out |= set(itertools.chain(*wide)) - set(in_turn(wide))
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _threads_are_left_alone() -> Iterator[None]:
    """Let no test leave how many threads the process uses: the next one would have them."""
    yield
    left = threads._process_threads
    threads.set_threads(None)
    assert left is None


@pytest.fixture(autouse=True)
def _budget_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer about the memory hold beyond the request that it was asked for: tests change it."""
    monkeypatch.setattr(host, "_FRESH_SECONDS", 0)
    monkeypatch.setattr(host, "_answer", (-math.inf, 0))


@pytest.fixture
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remember no call from before, and none of this test."""
    monkeypatch.delenv("IM2COL_NUM_THREADS", raising=False)
    memory.clear()
    yield
    memory.clear()


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays to the end, and come less often.

    Tests that measure memory call it dozens of times, and the text of kernels is many small objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def torch() -> Any:
    """Return torch, where it is installed."""
    return require("torch")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Start headless Chromium once for all tests of a process; see `missing` for when there is none."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module", params=["default", "kernels"])
def every_path(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run a test as it is, then with compiled kernels and threads for arrays of any size, which NumPy copies faster."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "kernels":
            require("llvmlite")
            for module in (gather, scatter):
                for threshold in THRESHOLDS:
                    patch.setattr(module, threshold, 1)
        yield
