"""The benchmark: its layers, its contestants, and that it shows no time of a wrong result."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bench.__main__ import main
from bench.clock import take_turns
from bench.contestants import Contestant, Role, WrongResultError, discover
from bench.processes import in_fresh_process, usable_cpus
from bench.transforms import contest, contestants
from bench.transforms.contestants import numpy_strided, ours
from bench.transforms.measure import OUTS, Measurement, measure
from bench.transforms.problems import TASKS, Layer, Problem, make_problem, read_layers
from bench.transforms.report import report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

TINY = Layer("tiny", batch=2, channels=3, height=6, width=5, kernel=3, stride=2, padding=1, dilation=1)
DILATED = Layer("dilated", batch=1, channels=2, height=7, width=8, kernel=2, stride=1, padding=0, dilation=3)


def prepare_off_by_one(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Do as NumPy's contestant does, and then get one element wrong."""
    call = numpy_strided.prepare(problem)

    def wrong() -> NDArray[np.float32]:
        result = call()
        result.flat[-1] += 1
        return result

    return wrong


def prepare_elsewhere(problem: Problem) -> Callable[[], NDArray[np.float32]]:
    """Allocate, whether or not there is an `out`."""
    return numpy_strided.prepare(replace(problem, out=None))


OFF_BY_ONE = Contestant("planted", "numpy", prepare_off_by_one)


def test_layers_span_the_sizes_and_windows_that_the_contest_is_about() -> None:
    """2 to 116 MB of float32 matrix, 3×3 to 7×7, with each kind of window."""
    layers = read_layers()
    assert len({layer.name for layer in layers}) == len(layers)
    assert all(2e6 <= layer.matrix_bytes <= 116e6 for layer in layers)
    assert {layer.kernel for layer in layers} == {3, 5, 7}
    for field in ("batch", "channels", "stride", "padding", "dilation"):
        assert len({getattr(layer, field) for layer in layers}) > 1, field


def test_a_layer_knows_its_sizes() -> None:
    """The shape rule, and the matrix and the padded image in bytes."""
    assert (TINY.output_shape, DILATED.output_shape) == ((3, 3), (4, 5))
    assert TINY.matrix_bytes == 2 * 3 * 9 * 9 * 4
    assert (TINY.padded_bytes, DILATED.padded_bytes) == (2 * 3 * 8 * 7 * 4, 0)


def test_the_oracles_are_adjoint() -> None:
    """<unfold(x), y> = <x, fold(y)>, with y drawn independently of x."""
    for layer in (TINY, DILATED):
        there, back = (make_problem(layer, task, 1) for task in (TASKS[0], TASKS[2]))
        assert np.vdot(there.matrix, back.matrix) == np.vdot(there.image, back.image)


def test_every_file_is_a_contestant() -> None:
    """The limit stands first, then this library, then the peers; a missing library is no error."""
    found = discover(contestants)
    assert [c.name for c in found] == ["copy", "im2col", "NumPy", "skimage", "sklearn HWC", "torch"]
    assert [c.role for c in found] == [Role.LIMIT, Role.OURS, *[Role.PEER] * 4]
    assert Contestant("absent", "no-such-distribution", numpy_strided.prepare).version is None


@pytest.mark.parametrize("contestant", [c for c in discover(contestants) if c.version], ids=lambda c: c.name)
@pytest.mark.parametrize("layer", [TINY, DILATED], ids=lambda layer: layer.name)
def test_an_installed_contestant_computes_rightly(contestant: Contestant[Problem], layer: Layer) -> None:
    """Every task that it offers, with and without an `out`."""
    measured = measure([layer], [contestant], 1, repeats=2, seconds=1)
    assert all(len(m.seconds) == 2 and 0 < m.best <= m.median for m in measured)
    if contestant.role is not Role.PEER:
        assert [(m.task, m.out) for m in measured] == [(task, out) for task in TASKS for out in OUTS]


def test_a_wrong_result_is_caught() -> None:
    """One wrong element of many; the message names contestant, task and layer."""
    message = "planted: wrong result of im2col columns, tiny: 1 of 486 elements differ from the oracle's"
    with pytest.raises(WrongResultError, match=f"^{message}$"):
        measure([TINY], [ours.CONTESTANT, OFF_BY_ONE], 1, repeats=1, seconds=1)


def test_a_result_outside_out_is_caught() -> None:
    """A contestant that allocates has no place in the table of touched outs."""
    elsewhere = Contestant("planted", "numpy", prepare_elsewhere)
    with pytest.raises(WrongResultError, match=r"tiny: it is not in the out that was given$"):
        measure([TINY], [elsewhere], 1, repeats=1, seconds=1)


def test_the_command_prints_tables_and_writes_the_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a cell; a contestant that is not installed is listed as such."""
    absent = Contestant("absent", "no-such-distribution", numpy_strided.prepare)
    entered = [*discover(contestants)[:3], absent]
    monkeypatch.setattr(contest, "discover", lambda _: entered)
    monkeypatch.setattr(contest, "read_layers", lambda: [TINY, DILATED])
    path = tmp_path / "new" / "cells.csv"
    assert main(["transforms", "--layers", "tiny", "--repeats", "3", "--csv", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "no-such-distribution not installed" in printed
    assert "col2im rows, into a touched out, threads: 1; GB/s of matrix\n\nlayer " in printed
    assert "im2col as a multiple of each, allocation on all sides, threads: 1" in printed
    assert "Memory of im2col beyond operand and touched out" in printed
    assert not [line for line in printed.splitlines() if len(line) > 100 and str(path) not in line]
    with path.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 3 * len(TASKS) * len(OUTS)
    assert {cell["contestant"] for cell in cells} == {"copy", "im2col", "NumPy"}
    assert all(cell["turns"] == "3" and float(cell["best_gb_per_second"]) > 0 for cell in cells)


def test_the_command_fails_on_a_wrong_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, a message, and no times."""
    monkeypatch.setattr(contest, "discover", lambda _: [ours.CONTESTANT, OFF_BY_ONE])
    monkeypatch.setattr(contest, "read_layers", lambda: [TINY])
    path = tmp_path / "cells.csv"
    assert main(["transforms", "--csv", str(path)]) == 1
    printed = capsys.readouterr()
    assert "bench: planted: wrong result of im2col" in printed.err
    assert "GB/s" not in printed.out
    assert not path.exists()


def test_ratios_are_speeds_over_speeds() -> None:
    """Geometric mean and worst layer of ours over each, and what more threads gain."""
    seconds = {("copy", TINY): 2.0, ("copy", DILATED): 4.0, ("im2col", TINY): 4.0, ("im2col", DILATED): 2.0}
    measured = [
        Measurement(threads, layer, task, out, name, (time / threads, 9 * time))
        for threads in (1, 2)
        for task in TASKS
        for out in OUTS
        for (name, layer), time in seconds.items()
    ]
    limit = Contestant("copy", "numpy", numpy_strided.prepare, Role.LIMIT)
    printed = report(measured, [limit, ours.CONTESTANT])
    assert printed.count("im2col columns    best  1.00 (0.50)\n") == 4
    assert printed.endswith("col2im rows     2.00    2.00")


def test_turns_stop_at_the_budget() -> None:
    """At most `repeats` turns; fewer where the time is spent, but five."""
    assert {name: len(t) for name, t in take_turns({"a": int, "b": int}, 7, 60).items()} == {"a": 7, "b": 7}
    assert len(take_turns({"a": int}, 100, 0)["a"]) == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a CPU")
def test_a_fresh_process_is_pinned() -> None:
    """To as many CPUs as it has threads; this process keeps its own."""
    before = usable_cpus()
    assert len(in_fresh_process(1, usable_cpus)) == 1
    assert usable_cpus() == before
