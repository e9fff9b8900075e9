"""What the tests themselves rest on: which combinations run, and which compiled kernels are kept."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from im2col.engine import cache

from .kit import kept
from .kit.processes import HANG_SECONDS, REPOSITORY
from .kit.selection import in_turn, one_in, spanning, wide_but

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_few_combinations_span_all_axes(lengths: list[int]) -> None:
    """Every value of each axis occurs, in no more combinations than the two longest axes have values."""
    combinations = list(itertools.product(*map(range, lengths)))
    found = spanning(combinations)
    for axis, length in enumerate(lengths):
        assert {combinations[place][axis] for place in found} == set(range(length))
    assert max(lengths) <= len(set(found)) == len(found) <= sum(sorted(lengths)[-2:])


def test_what_is_wide_may_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of all tests' has its turn; what is alone is always there."""
    for name in ("EVERY", "SEED"):
        monkeypatch.delenv(f"IM2COL_WIDE_{name}", raising=False)
    families = ["abc", "d", "", "ef"]
    assert "".join(in_turn(families)) == "abcdef"
    monkeypatch.setenv("IM2COL_WIDE_EVERY", "3")
    turns = []
    for seed in range(9, 12):
        monkeypatch.setenv("IM2COL_WIDE_SEED", str(seed))
        turns.append("".join(in_turn(families)))
    assert turns == ["ade", "bdf", "cd"]


def test_one_in_some_is_not_wide() -> None:
    """The first of each so many stands as it is; rows of several values stay rows."""
    first, second, third = one_in(2, ["a", ("b", 1), "c"])
    assert (first, third) == ("a", "c")
    assert (second.values, [mark.name for mark in second.marks]) == (("b", 1), ["wide"])
    usual, other = wide_but({"a"}, "ab")
    assert (usual, other.values, [mark.name for mark in other.marks]) == ("a", ("b",), ["wide"])


FAMILY = """
import pytest
pytest_plugins = ["tests.conftest"]

@pytest.fixture(params="pq")
def both(request): ...

@pytest.mark.parametrize("a", range(3))
@pytest.mark.parametrize("b", range(2))
def test_three(a, b, both): ...

@pytest.mark.whole
@pytest.mark.parametrize("a", range(3))
@pytest.mark.parametrize("b", range(2))
def test_all(a, b): ...

@pytest.mark.every
@pytest.mark.parametrize("a", range(3))
def test_each(a): ...

@pytest.mark.parametrize("a", [0, pytest.param(1, marks=pytest.mark.wide), 2])
@pytest.mark.parametrize("b", range(2))
def test_marked(a, b): ...
"""


def test_which_combinations_run(tmp_path: Path) -> None:
    """A few in `make test`, of those that hold each value of an axis, fixtures included; all with the wide ones."""
    (tmp_path / "test_family.py").write_text(FAMILY)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["wide", "whole", "every"]\n')
    found, paths = {}, (REPOSITORY, REPOSITORY / "src")
    for profile, which in (("quick", "not wide"), ("default", "not wide"), ("default", "wide")):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "-m", which],
            cwd=tmp_path,
            env=os.environ
            | {
                "IM2COL_WIDE_EVERY": "1",
                "IM2COL_TEST_PROFILE": profile,
                "PYTHONPATH": os.pathsep.join(map(str, paths)),
            },
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        lines = [line.partition("::")[2].partition("[") for line in done.stdout.splitlines() if "::" in line]
        found[profile, which] = {name: [row for each, _, row in lines if each == name] for name, *_ in lines}
    quick, usual, wide = found.values()
    three = [tuple(row.rstrip("]").split("-")) for row in usual["test_three"]]
    assert [len(set(axis)) for axis in zip(*three, strict=True)] == [2, 2, 3]
    assert (len(three), len(usual["test_all"]), "test_all" in wide) == (3, 6, False)
    assert len(usual["test_three"]) + len(wide["test_three"]) == 12
    few = {"test_three": 2, "test_all": 2, "test_each": 3, "test_marked": 2}
    assert {name: len(rows) for name, rows in quick.items()} == few
    assert all(set(rows) <= set(usual[name]) for name, rows in quick.items())
    assert (usual["test_marked"], len(wide["test_marked"])) == (["0-0]", "1-2]"], 4)


def test_kernels_are_kept_in_the_checkout() -> None:
    """Git ignores the folder, this very run uses it, and the library finds it private enough."""
    assert os.environ["IM2COL_CACHE_DIR"] in {str(kept.FOLDER), os.environ.get("IM2COL_TEST_KERNELS")}
    assert kept.FOLDER.parent == REPOSITORY
    assert ".kernels/" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_the_users_cache_is_never_used(tmp_path: Path) -> None:
    """Whatever the environment says, tests keep their kernels elsewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_scatter.py::test_special_numbers"],
        cwd=REPOSITORY,
        env=os.environ | {"IM2COL_CACHE_DIR": str(tmp_path / "own"), "IM2COL_TEST_KERNELS": str(tmp_path / "tests")},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["tests"]


def test_old_kernels_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has read for days goes, and of the rest the longest unread, down to so many bytes."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    for i, name in enumerate(("new", "recent", "older", "old")):
        cache.write(name, bytes(1000))
        when = time.time() - i * 86400
        os.utime(tmp_path / f"im2col/{name}.kernel", (when, when))
    kept.remove_old(tmp_path, days=10, most=10_000)
    assert cache.count() == 4
    kept.remove_old(tmp_path, days=2.5, most=10_000)
    assert {path.stem for path in tmp_path.rglob("*.kernel")} == {"new", "recent", "older"}
    kept.remove_old(tmp_path, days=10, most=2500)
    assert {path.stem for path in tmp_path.rglob("*.kernel")} == {"new", "recent"}
    kept.remove_old(tmp_path / "nowhere")
