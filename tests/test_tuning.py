"""Plans that are measured: what is kept, for whom, and that results stay right."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import im2col
from im2col import memory
from im2col.algorithms import tuning, verdicts
from im2col.engine import cache, compiler
from im2col.errors import ArgumentError, MemoryBudgetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

X = np.random.default_rng(0).standard_normal((2, 4, 9, 8)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((5, 4, 3, 3)).astype(np.float32)
RIGHT = im2col.conv(X, W, padding=1, algorithm="reference")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the cache be an empty folder of the test, and nothing be remembered; return the folder."""
    monkeypatch.setenv("IM2COL_CACHE_DIR", str(tmp_path))
    memory.clear()
    return tmp_path / "im2col"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the last of all offers always be the fastest; return how many were measured each time."""
    rounds: list[int] = []

    def in_turns(calls: dict[int, Callable[[], None]], _: Any) -> dict[int, float]:
        rounds.append(len(calls))
        return {i: 1.0 / (1 + i) for i in calls}

    monkeypatch.setattr(tuning, "_in_turns", in_turns)
    return rounds


def tuned(**options: Any) -> im2col.Plan:
    """Return a plan that is tuned."""
    return im2col.plan(X.shape, W, padding=1, threads=1, tune=True, **options)


def taken(plan: im2col.Plan) -> tuple[str, str]:
    """Return the algorithm of a plan, and its way."""
    [choice] = plan._operation.choices
    return choice.algorithm, choice.offer.way


def test_the_fastest_is_taken_and_right(clock: list[int]) -> None:
    """Whatever is measured as the fastest runs: here a tile that the model would not have taken."""
    plain, found = im2col.plan(X.shape, W, padding=1, threads=1), tuned()
    assert clock[0] > 2
    assert taken(found)[0] == "implicit"
    assert taken(found) != taken(plain)
    np.testing.assert_allclose(found(X), RIGHT, rtol=1e-4, atol=1e-4)
    lines = str(found).splitlines()
    assert sum(" ms, " in line for line in lines) == clock[0]
    measured = next(line for line in lines if line.startswith("  measured"))
    assert taken(found)[1] in measured
    assert " ms" not in str(plain)


def test_every_offer_that_is_measured_computes_the_same() -> None:
    """Each way is a whole algorithm: its results are right, however slow it is."""
    problem = tuned()._operation.spec[0]
    x = problem.layout.to_canonical(X)
    found = list(tuning.candidates(problem, "auto", 1))
    ways = [(name, offer.way) for name, offer in found]
    assert len(set(ways)) == len(ways) > 2
    for _, offer in found:
        out = np.full(problem.output_shape, np.nan, np.float32)
        offer.prepare(W, None, None)(x, problem.layout.to_canonical(out))
        np.testing.assert_allclose(out, RIGHT, rtol=1e-4, atol=1e-4)


def test_the_clock_runs_each_offer(home: Path) -> None:
    """The real clock: every offer has a time, and the verdict is a file that holds them all."""
    found = tuned()
    [path] = home.glob("*.verdict")
    kept = cache.read(path.stem, cache.VERDICT)
    assert kept is not None
    rows = json.loads(kept)
    assert (rows[0][0], rows[0][1]) == taken(found)
    assert all(0 < seconds < 60 for *_, seconds in rows)
    assert {name for name, *_ in rows} >= {"implicit", "explicit"}


def test_it_is_measured_once(clock: list[int]) -> None:
    """A second plan measures nothing, nor does one that finds the file alone."""
    first = tuned()
    again = tuned()
    memory.clear()
    later = tuned()
    assert len(clock) == 1
    assert taken(first) == taken(again) == taken(later)
    assert first == again == later
    assert first != im2col.plan(X.shape, W, padding=1, threads=1)
    tuned(stride=2)
    assert len(clock) == 2


def test_another_cpu_measures_for_itself(clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured on one CPU says nothing about another one."""
    target = compiler.usable_target()
    if target is None:
        pytest.skip("there is no engine")
    tuned()
    monkeypatch.setattr(compiler, "usable_target", lambda: target._replace(caches=(1 << 14, 1 << 18, 1 << 22)))
    tuned()
    assert len(clock) == 2


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_verdict_is_measured_again(damage: str, clock: list[int], home: Path) -> None:
    """A file that is cut short, or not what was written, is as good as none."""
    tuned()
    [path] = home.glob("*.verdict")
    content = path.read_bytes()
    path.write_bytes(content[:-1] if damage == "cut" else content[:40] + b"[]")
    memory.clear()
    np.testing.assert_allclose(tuned()(X), RIGHT, rtol=1e-4, atol=1e-4)
    assert len(clock) == 2


@pytest.mark.parametrize("named", [("implicit", "a tile of another version"), ("retired", "")])
def test_a_verdict_for_what_there_is_no_longer(named: tuple[str, str]) -> None:
    """The model chooses, as without a verdict."""
    plain = im2col.plan(X.shape, W, padding=1, threads=1)
    problem, requested, threads, _ = plain._operation.spec
    verdicts.keep_verdict(problem, requested, threads, (verdicts.Measured(*named, 1.0, 1.0),))
    found = tuned()
    assert taken(found) == taken(plain)
    np.testing.assert_array_equal(found(X), plain(X))


def test_nothing_can_be_written(clock: list[int], home: Path) -> None:
    """A cache folder that is a file: this process remembers alone."""
    home.parent.mkdir(exist_ok=True)
    home.write_bytes(b"")
    assert taken(tuned()) == taken(tuned())
    assert len(clock) == 1


def test_the_cache_is_cleared(clock: list[int], home: Path) -> None:
    """Verdicts go with the kernels."""
    tuned()
    im2col.clear_cache()
    assert not list(home.glob("*.verdict"))
    tuned()
    assert len(clock) == 2


def test_a_named_algorithm(clock: list[int]) -> None:
    """Only its own ways are compared."""
    found = tuned(algorithm="explicit")
    assert clock == [1]
    assert found.algorithm == "explicit"
    assert tuned(algorithm="implicit").algorithm == "implicit"


def test_a_plan_travels(clock: list[int]) -> None:
    """A plan that is pickled is tuned where it arrives, if that layer was measured there."""
    found = tuned()
    packed = pickle.dumps(found)
    assert taken(pickle.loads(packed)) == taken(found)  # noqa: S301 (our own)
    im2col.clear_cache()
    there = pickle.loads(packed)  # noqa: S301 (our own)
    assert taken(there) == taken(im2col.plan(X.shape, W, padding=1, threads=1))
    np.testing.assert_allclose(there(X), RIGHT, rtol=1e-4, atol=1e-4)
    assert len(clock) == 1


def test_threads_tune_at_the_same_time(home: Path) -> None:
    """Several measure, one file is left, all results are right."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tuned()(X), range(8)))
    for each in found:
        np.testing.assert_allclose(each, RIGHT, rtol=1e-4, atol=1e-4)
    assert len(list(home.glob("*.verdict"))) == 1
    assert not list(home.glob("*.part"))


def test_processes_tune_at_the_same_time(home: Path) -> None:
    """Two processes write the one file: it is whole, and is read by a third one."""
    program = (
        "import numpy as np, im2col; p = im2col.plan((2, 4, 9, 8), np.ones((5, 4, 3, 3), np.float32), threads=1, "
        "padding=1, tune=True); assert p(np.ones((2, 4, 9, 8), np.float32))[0, 0, 1, 1] == 36"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    [path] = home.glob("*.verdict")
    assert cache.read(path.stem, cache.VERDICT) is not None


@pytest.mark.parametrize(("ratio", "stays"), [(0.99, True), (0.97, False)])
def test_the_choice_of_the_model_stays(ratio: float, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one has to be faster beyond the clock's noise."""
    monkeypatch.setattr(tuning, "_in_turns", lambda calls, _: {i: ratio if i == 1 else 1.0 + i for i in calls})
    assert (taken(tuned()) == taken(im2col.plan(X.shape, W, padding=1, threads=1))) is stays


def test_verdicts_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken comes first, then the others by their times."""
    seconds = [1.0, 0.995, 3.0, 2.0]
    monkeypatch.setattr(tuning, "_in_turns", lambda calls, _: {i: seconds[i] for i in list(calls)[:4]})
    [choice] = tuned()._operation.choices
    assert [each.seconds for each in choice.measured] == [1.0, 0.995, 2.0, 3.0]


def test_what_the_engine_refuses_is_left_out() -> None:
    """Kernels that LLVM does not take when they are prepared: the others are compared."""
    problem, *_ = im2col.plan(X.shape, W, padding=1, threads=1)._operation.spec

    def refused(*_: Any) -> Any:
        raise compiler.EngineError("kernel")

    (name, first), *others = tuning.candidates(problem, "auto", 1)
    found = tuning.measured(problem, [(name, first._replace(prepare=refused)), *others], 1, (W, None, None))
    assert len(found) == len(others)
    assert first.way not in [each.way for each in found if each.algorithm == name]


def test_there_must_be_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways are prepared side by side: what does not fit is refused with the way out, before anything is made."""
    monkeypatch.setattr("im2col.engine.host.available_memory", lambda: 1 << 20)
    with pytest.raises(MemoryBudgetError, match="without tune"):
        im2col.plan((1, 4, 1500, 1500), W, threads=1, tune=True)


@pytest.mark.parametrize("value", ["yes", 2, None])
def test_tune_is_yes_or_no(value: Any) -> None:
    """Anything else is an error."""
    with pytest.raises(ArgumentError, match="tune"):
        im2col.plan(X.shape, W, tune=value)


def test_single_calls_never_tune() -> None:
    """They do not know the word."""
    with pytest.raises(TypeError, match="tune"):
        im2col.conv(X, W, tune=True)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(TypeError, match="tune"):
        im2col.conv2d(X, W, tune=True)  # type: ignore[call-arg]  # that is the test


def test_integers_and_layouts() -> None:
    """Ways are measured for every dtype and layout: results are exact."""
    x, w = np.arange(2 * 9 * 8 * 4).reshape(2, 9, 8, 4).astype(np.uint8), W.astype(np.int8)
    options: dict[str, Any] = {"layout": "NHWC", "padding": 1}
    found = im2col.plan(x.shape, w, x_dtype=np.uint8, tune=True, threads=1, **options)
    np.testing.assert_array_equal(found(x), im2col.conv(x, w, algorithm="reference", **options))
