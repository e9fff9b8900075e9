"""The benchmark: its layers, its contestants, and that it shows no time of a wrong result."""

from __future__ import annotations

import csv
import os
import pickle
import re
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bench.__main__ import main
from bench.clock import many_calls, take_turns
from bench.contestants import Contestant, Role, WrongResultError, discover
from bench.convolution import contest as convolution_contest
from bench.convolution import contestants as convolution_contestants
from bench.convolution import layers as convolution_layers
from bench.convolution import measure as convolution_measure
from bench.convolution import problems as convolution_problems
from bench.convolution import report as convolution_report
from bench.convolution import seat
from bench.convolution.contestant import Convolver
from bench.convolution.contestants import numpy_matrix
from bench.convolution.layers import Layer as ConvolutionLayer
from bench.convolution.measure import Measurement as ConvolutionMeasurement
from bench.convolution.report import Round, rounds
from bench.options import matches
from bench.processes import fresh_process, in_fresh_process, usable_cpus
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
CONVOLUTIONS = [
    ConvolutionLayer("strided", "strided", 2, 3, (9, 8), 6, (3, 2), (2, 1), (1, 0), (1, 2), tags=("tagged",)),
    ConvolutionLayer("grouped", "grouped", 1, 6, (7, 6), 4, (3, 3), (1, 1), (1, 1), (1, 1), groups=2),
    ConvolutionLayer("depthwise", "depthwise", 1, 5, (7, 7), 5, (3, 3), (2, 2), (1, 1), (1, 1), groups=5),
    ConvolutionLayer("filter", "filter", 1, 1, (12, 10), 1, (5, 5), (1, 1), (2, 2), (1, 1)),
    ConvolutionLayer("wide filter", "filter", 1, 1, (21, 20), 1, (13, 13), (1, 1), (6, 6), (1, 1)),
    ConvolutionLayer("signal", "1d", 1, 3, (17,), 4, (3,), (2,), (1,), (1,)),
    ConvolutionLayer("volume", "3d", 1, 2, (5, 6, 7), 3, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
]


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
    """At most `repeats` turns; fewer where the time is spent, but five; fewer still where it is spent many times."""

    def turn() -> list[float]:
        return [1.0, 2.0]

    assert {name: len(t) for name, t in take_turns({"a": turn, "b": turn}, 7, 60).items()} == {"a": 14, "b": 14}
    assert len(take_turns({"a": turn}, 100, 0)["a"]) == 2 * 5
    assert len(take_turns({"a": turn}, 100, 0, most_seconds=6)["a"]) == 2 * 2


def test_a_turn_of_short_calls_has_many_and_not_the_first() -> None:
    """The first call of a turn finds its data in no cache; a long one counts, and is the only one."""
    calls: list[int] = []
    assert len(many_calls(lambda: calls.append(0), 0.001)) == len(calls) - 1 > 1
    assert len(many_calls(calls.clear, 0)) == 1


def test_patterns_are_alternatives() -> None:
    """Commas separate patterns; each is compared with each word."""
    assert matches("vgg*,3x3", "r50", "3x3")
    assert not matches("vgg*,3x3", "r50", "1x1")


def test_a_process_remembers_until_it_ends() -> None:
    """What one call leaves in a module, the next one finds there."""
    with fresh_process(1) as ask:
        first, second = ask(os.getpid), ask(os.getpid)
    assert first == second != os.getpid()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a CPU")
def test_a_fresh_process_is_pinned() -> None:
    """To as many CPUs as it has threads; this process keeps its own."""
    before = usable_cpus()
    assert len(in_fresh_process(1, usable_cpus)) == 1
    assert usable_cpus() == before


def test_layers_are_as_their_table_counts_them() -> None:
    """Millions of products, and operations a byte, which the table holds beside the shapes."""
    layers = convolution_layers.read_layers()
    assert len({layer.name for layer in layers}) == len(layers) == 79
    with convolution_layers.LAYERS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for layer, row in zip(layers, rows, strict=True):
        assert layer.flops / 2e6 == pytest.approx(float(row["MMACs"]), abs=0.051), layer
        assert layer.flops_a_byte == pytest.approx(float(row["flop_per_byte"]), abs=0.051), layer
    assert {len(layer.spatial) for layer in layers} == {1, 2, 3}


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
def test_the_answer_is_the_definition(layer: ConvolutionLayer) -> None:
    """Plain loops over positions, filters and taps; the same in blocks of one row."""
    problem = convolution_problems.make_problem(layer, "NCHW", 1)
    pads = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
    padded = np.pad(problem.image.astype(float), pads)
    expected = np.zeros(layer.output_shape)
    channels, filters = layer.channels // layer.groups, layer.filters // layer.groups
    for n, f, *position in np.ndindex(layer.output_shape):
        first = f // filters * channels
        for tap in np.ndindex(layer.kernel):
            window = zip(position, layer.stride, tap, layer.dilation, strict=True)
            pixels = padded[n, first : first + channels, *(o * s + t * d for o, s, t, d in window)]
            expected[n, f, *position] += pixels @ problem.weight[f, :, *tap].astype(float)
    assert np.allclose(convolution_problems.answer(layer), expected, rtol=0, atol=1e-13)


def test_large_images_are_answered_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row a block gives the same as one block."""
    at_once = [convolution_problems.answer(layer) for layer in CONVOLUTIONS]
    monkeypatch.setattr(convolution_problems, "_BLOCK_ELEMENTS", 1)
    for layer, whole in zip(CONVOLUTIONS, at_once, strict=True):
        assert np.allclose(convolution_problems.answer(layer), whole, rtol=0, atol=1e-13)


def test_every_convolution_file_is_a_contestant() -> None:
    """The limit stands first, then this library, then the peers; all of them travel to other processes."""
    found = discover(convolution_contestants)
    assert [c.name for c in found[:5]] == ["FMA loop", "conv", "conv NHWC", "plan", "plan NHWC"]
    assert [c.role for c in found] == [Role.LIMIT, *[Role.OURS] * 4, *[Role.PEER] * (len(found) - 5)]
    assert {c.name for c in found if not c.is_direct} == {"ncnn", "filter2D DFT"}
    assert [c.name for c in pickle.loads(pickle.dumps(found))] == [c.name for c in found]  # noqa: S301 (its own)


@pytest.mark.parametrize(
    "contestant", [c for c in discover(convolution_contestants) if c.version], ids=lambda c: c.name
)
def test_an_installed_contestant_convolves_rightly(contestant: Convolver, tmp_path: Path) -> None:
    """Every kind of layer that it offers, which is every one for this library."""
    offered = 0
    for layer in CONVOLUTIONS:
        path = tmp_path / f"{layer.name}.npy"
        np.save(path, convolution_problems.answer(layer))
        assert seat.prepare(contestant, layer, 1, path) is None
        if seat.is_ready():
            offered += 1
            assert min(seat.turn()) > 0
    assert offered == len(CONVOLUTIONS) if contestant.role is Role.OURS else offered


def prepare_without_a_tap(problem: convolution_problems.Problem) -> Callable[[], NDArray[np.float32]] | None:
    """Do as NumPy's contestant does, but leave out the last tap of each filter."""
    weight = problem.weight.copy()
    weight[..., -1] = 0
    return numpy_matrix.prepare(replace(problem, weight=weight))


def prepare_nothing(problem: convolution_problems.Problem) -> Callable[[], NDArray[np.float32]]:
    """Return the out as it is, all NaN."""
    return lambda: problem.out


def prepare_death(_problem: convolution_problems.Problem) -> None:
    """End the process, as a library that crashes does."""
    os._exit(1)


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (prepare_without_a_tap, "360 of 360 elements are off by more than 9.1e-06, the worst by 3.8e+00"),
        (prepare_nothing, "360 of 360 elements are off by more than 9.1e-06, the worst by nan"),
    ],
)
def test_a_wrong_convolution_is_caught(
    prepare: Callable[[convolution_problems.Problem], Callable[[], NDArray[np.float32]] | None], complaint: str
) -> None:
    """A missing tap goes beyond the tolerance, and so does NaN; the message names contestant and layer."""
    message = re.escape(f"planted: wrong result of strided: {complaint}")
    with pytest.raises(WrongResultError, match=f"^{message}$"):
        convolution_measure.measure(CONVOLUTIONS[:1], [Convolver("planted", "numpy", prepare)], 1, repeats=1, seconds=1)


def test_a_contestant_that_dies_is_named() -> None:
    """The error is the pool's; its note tells who and where."""
    with pytest.raises(BrokenExecutor) as caught:
        convolution_measure.measure(
            CONVOLUTIONS[:1], [Convolver("planted", "numpy", prepare_death)], 1, repeats=1, seconds=1
        )
    assert caught.value.__notes__ == ["planted at strided"]


def test_the_convolution_command_prints_tables_and_writes_the_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a cell; a contestant that is not installed is listed as such; memory of the tagged layers only."""
    absent = Convolver("absent", "no-such-distribution", prepare_nothing)
    entered = [c for c in discover(convolution_contestants) if c.name in ("FMA loop", "conv", "plan", "NumPy")]
    monkeypatch.setattr(convolution_contest, "discover", lambda _: [*entered, absent])
    monkeypatch.setattr(convolution_contest, "read_layers", lambda: CONVOLUTIONS)
    path = tmp_path / "new" / "cells.csv"
    arguments = ["--layers", "strided,grouped", "--repeats", "1", "--seconds", "0.001", "--csv", str(path)]
    assert main(["convolution", *arguments, "--memory-layers", "tagged"]) == 0
    printed = capsys.readouterr().out
    assert "no-such-distribution not installed" in printed
    assert "GFLOP/s by the median call, threads: 1\n\nlayer " in printed
    assert "\nstrided  strided      NumPy " in printed
    assert "Ours as a multiple of each, weights with every call, threads: 1" in printed
    assert "conv / NumPy" in printed
    assert "Memory beyond image, weights and result, threads: 1" in printed
    with path.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 2 * len(entered)
    assert all(float(cell["best_gflop_per_second"]) > 0 for cell in cells)
    assert not list(tmp_path.glob("**/*.svg"))


def played(*seconds: dict[str, float]) -> list[Round]:
    """Return a round a dict, of one thread and more, in which each contestant took so long at the first layer."""
    entered = [
        Convolver("limit", "numpy", prepare_nothing, Role.LIMIT),
        Convolver("plan", "numpy", prepare_nothing, Role.OURS),
        Convolver("direct", "numpy", prepare_nothing),
        Convolver("winograd", "numpy", prepare_nothing, is_direct=False),
    ]
    layer = next(layer for layer in convolution_layers.read_layers() if layer.name == "vgg_1_2")
    measured = [
        ConvolutionMeasurement(threads, layer, name, (time, time))
        for threads, times in enumerate(seconds, start=1)
        for name, time in times.items()
    ]
    return rounds(measured, entered)


def test_the_best_peer_is_a_direct_one() -> None:
    """What multiplies less often is shown, but is not what this library is compared with."""
    times = {"limit": 0.5, "plan": 2.0, "direct": 4.0, "winograd": 1.0}
    printed = convolution_report.report(played(times, {**times, "plan": 1.0}))
    assert "\n3x3         1    best                 0.9  2.00 (2.00)  2.00 (2.00)\n" in printed
    assert "\nvgg_1_2    3x3     direct      0.9   1.8    2.00         25\n" in printed
    assert "\nplan             1            2.00   2.00  vgg_1_2\n" in printed


def test_the_chart_is_the_same_every_time(tmp_path: Path) -> None:
    """No date and no random names: a picture for version control."""
    pytest.importorskip("matplotlib")
    from bench.convolution.chart import draw

    paths = [tmp_path / "new" / name for name in ("a.svg", "b.svg")]
    for path in paths:
        draw(played({"limit": 0.5, "plan": 2.0, "direct": 4.0})[0], path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"<?xml")
