"""The benchmark: its layers, its contestants, and that it shows no time of a wrong result."""

from __future__ import annotations

import argparse
import csv
import gc
import os
import pickle
import re
import weakref
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bench import choice, cluster, labelled, match, memory, model, networks, seat
from bench.__main__ import main
from bench.calls import contest as calls_contest
from bench.calls import contestants as calls_contestants
from bench.calls import problems as calls_problems
from bench.clock import calls_together, many_calls, take_turns
from bench.contestants import Contestant, JudgedProblem, Role, SeatedContestant, WorkT, WrongResultError, discover
from bench.convolution import contest as convolution_contest
from bench.convolution import contestants as convolution_contestants
from bench.convolution import layers as convolution_layers
from bench.convolution import problems as convolution_problems
from bench.convolution import report as convolution_report
from bench.convolution.contestant import Convolver
from bench.convolution.contestants import numpy_matrix
from bench.convolution.layers import Layer as ConvolutionLayer
from bench.filters import contest as filters_contest
from bench.filters import contestants as filters_contestants
from bench.filters import problems as filters_problems
from bench.frames import contest as frames_contest
from bench.frames import nests as frames_nests
from bench.frames import problems as frames_problems
from bench.gradients import contest as gradients_contest
from bench.gradients import contestants as gradients_contestants
from bench.gradients import problems as gradients_problems
from bench.gradients.contestant import Differentiator
from bench.narrow import contest as narrow_contest
from bench.narrow import contestants as narrow_contestants
from bench.narrow import problems as narrow_problems
from bench.narrow import report as narrow_report
from bench.narrow.contestant import NarrowConvolver
from bench.options import matches
from bench.pays import cases as pays_cases
from bench.pays import contest as pays
from bench.pooling import contest as pooling_contest
from bench.pooling import contestants as pooling_contestants
from bench.pooling import problems as pooling_problems
from bench.processes import fresh_process, in_fresh_process, usable_cpus
from bench.rounds import Round, rounds
from bench.tasks import Task
from bench.transforms import contest, contestants
from bench.transforms.contestants import numpy_strided, ours
from bench.transforms.measure import OUTS, Measurement, measure
from bench.transforms.problems import TASKS, Layer, Problem, make_problem, read_layers
from bench.transforms.report import report

import im2col

from .kit.onnx_models import parsed
from .kit.outcomes import missing, require
from .kit.selection import one_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

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


FLAT = CONVOLUTIONS[:3]
ADJOINTS = [Task(layer, kind) for layer in FLAT for kind in gradients_problems.KINDS]
NARROW = [Task(layer, kind, itemsize) for layer in FLAT for kind, itemsize in narrow_problems.KINDS.items()]


@pytest.fixture(autouse=True)
def _peers_are_no_garbage() -> Iterator[None]:
    """Leave the libraries that are loaded already out of the collections of garbage, of which each work starts one."""
    gc.freeze()
    yield
    im2col.set_threads(None)  # a contestant sets them for its process


def assert_speeds(cells: list[dict[str, str]], speed: str, work: str, unit: float) -> None:
    """Assert that a column is the work of a call in billions a second; a busy machine may round it to 0."""
    for cell in cells:
        seconds, billions = float(cell["best_seconds"]), float(cell[work]) * unit / 1e9
        assert seconds > 0
        assert float(cell[speed]) == pytest.approx(billions / seconds, rel=1e-3, abs=1e-3)


def installed(package: ModuleType) -> list[Any]:
    """Return the contestants that are installed, as parameters."""
    return [pytest.param(c, id=c.name) for c in discover(package) if c.version]


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


@pytest.mark.wide
@pytest.mark.parametrize("contestant", installed(contestants))
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
    assert all(cell["turns"] == "3" for cell in cells)
    assert_speeds(cells, "best_gb_per_second", "matrix_bytes", 1)


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
    ours = ["conv", "conv NHWC", "plan", "plan direct", "plan direct NHWC", "plan NHWC"]
    assert [c.name for c in found[:7]] == ["FMA loop", *ours]
    assert [c.role for c in found] == [Role.LIMIT, *[Role.OURS] * 6, *[Role.PEER] * (len(found) - 7)]
    assert {c.name for c in found if not c.is_direct} == {"ncnn", "filter2D DFT", "plan", "plan NHWC"}
    assert {c.name for c in found if c.is_compared and c.role is Role.OURS} == {"plan direct", "plan direct NHWC"}
    assert [c.name for c in pickle.loads(pickle.dumps(found))] == [c.name for c in found]  # noqa: S301 (its own)


@pytest.mark.wide
@pytest.mark.parametrize("contestant", installed(convolution_contestants))
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


def prepare_nothing(problem: JudgedProblem) -> Callable[[], NDArray[Any]]:
    """Return the out as it is, all NaN."""
    return lambda: problem.out


def prepare_death(_problem: convolution_problems.Problem) -> None:
    """End the process, as a library that crashes does."""
    os._exit(1)


def measure_planted(
    contestant: SeatedContestant[WorkT, Any], work: WorkT, answer: Callable[[WorkT], NDArray[np.float64]]
) -> None:
    """Measure one contestant at some work, as a contest does."""
    match.measure([work], [contestant], answer, 1, repeats=1, seconds=1)


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    one_in(
        2,
        [
            (prepare_without_a_tap, "360 of 360 elements are off by more than 9.1e-06, the worst by 3.8e+00"),
            (prepare_nothing, "360 of 360 elements are off by more than 9.1e-06, the worst by nan"),
        ],
    ),
)
def test_a_wrong_convolution_is_caught(
    prepare: Callable[[convolution_problems.Problem], Callable[[], NDArray[np.float32]] | None], complaint: str
) -> None:
    """A missing tap goes beyond the tolerance, and so does NaN; the message names contestant and layer."""
    message = re.escape(f"planted: wrong result of strided: {complaint}")
    with pytest.raises(WrongResultError, match=f"^{message}$"):
        measure_planted(Convolver("planted", "numpy", prepare), CONVOLUTIONS[0], convolution_problems.answer)


def test_a_contestant_that_dies_is_named() -> None:
    """The error is the pool's; its note tells who and where."""
    with pytest.raises(BrokenExecutor) as caught:
        measure_planted(Convolver("planted", "numpy", prepare_death), CONVOLUTIONS[0], convolution_problems.answer)
    assert caught.value.__notes__ == ["planted at strided"]


@pytest.mark.wide
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
    assert_speeds(cells, "best_gflop_per_second", "mflop", 1e6)
    assert not list(tmp_path.glob("**/*.svg"))


def played(*seconds: dict[str, float]) -> list[Round[ConvolutionLayer]]:
    """Return a round a dict, of one thread and more, in which each contestant took so long at the first layer."""
    entered = [
        Convolver("limit", "numpy", prepare_nothing, Role.LIMIT),
        Convolver("plan", "numpy", prepare_nothing, Role.OURS),
        Convolver("direct", "numpy", prepare_nothing),
        Convolver("winograd", "numpy", prepare_nothing, is_direct=False),
    ]
    layer = next(layer for layer in convolution_layers.read_layers() if layer.name == "vgg_1_2")
    measured = [
        match.Measurement(threads, layer, name, (time, time))
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


def test_plans_stand_beside_peers_of_their_layout() -> None:
    """A layout that no peer is given has no ratio, and the other layout's peers count for nothing."""
    entered = [
        Convolver("plan", "numpy", prepare_nothing, Role.OURS),
        Convolver("plan NHWC", "numpy", prepare_nothing, Role.OURS, layout="NHWC"),
        Convolver("first", "numpy", prepare_nothing),
        Convolver("last", "numpy", prepare_nothing, layout="NHWC"),
    ]
    one, other = convolution_layers.read_layers()[:2]
    times = {"plan": 2.0, "plan NHWC": 4.0, "first": 1.0, "last": 6.0}
    measured = [match.Measurement(1, one, name, (time,)) for name, time in times.items()]
    measured += [match.Measurement(1, other, name, (times[name],)) for name in ("plan", "plan NHWC", "last")]
    printed = convolution_report.report(rounds(measured, entered))
    title = "Ours as a multiple of the best direct peer of its layout, threads: 1; geometric mean (worst layer)"
    found = printed.partition(f"{title}\n\n")[2].partition("\n\n")[0].splitlines()
    assert found[2:] == [
        "stem        1  0.50 (0.50)  1.50 (1.50)",
        "1x1         1            –  1.50 (1.50)",
        "all         2  0.50 (0.50)  1.50 (1.50)",
    ]


@pytest.mark.wide
def test_the_chart_is_the_same_every_time(tmp_path: Path) -> None:
    """No date and no random names: a picture for version control."""
    require("matplotlib")
    from bench.convolution.chart import draw

    paths = [tmp_path / "new" / name for name in ("a.svg", "b.svg")]
    for path in paths:
        draw(played({"limit": 0.5, "plan": 2.0, "direct": 4.0})[0], path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"<?xml")


@pytest.mark.parametrize("block", [1, 1 << 17])
@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: layer.name)
def test_the_answers_of_gradients_are_adjoint(
    layer: ConvolutionLayer, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """<conv(x, w), g> = <x, dx(w, g)> = <w, dw(x, g)>, with all three drawn independently; in blocks, too."""
    monkeypatch.setattr(convolution_problems, "_BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(1)
    shapes = (layer.image_shape, layer.weight_shape, layer.output_shape)
    image, weight, grad = (rng.integers(-9, 10, shape) for shape in shapes)
    product = np.vdot(convolution_problems.convolution(layer, image, weight), grad)
    assert np.vdot(gradients_problems.input_gradient(layer, weight, grad), image) == product
    assert np.vdot(gradients_problems.weight_gradient(layer, image, grad), weight) == product


def test_transposed_layers_enlarge_their_images_by_the_stride() -> None:
    """Each stands in its table as the convolution of which it is the transpose."""
    tasks = gradients_problems.tasks()
    layers = [task.layer for task in tasks if task.kind == gradients_problems.TRANSPOSE]
    assert [layer.spatial[0] for layer in layers] == [56, 112, 224, 448, 16, 32, 64, 128, 224]
    for layer in layers:
        enlarged = tuple(n * s for n, s in zip(layer.output_spatial, layer.stride, strict=True))
        assert enlarged == layer.spatial, layer
    assert len({task.name for task in tasks}) == len(tasks) == 2 * (32 + 15) + len(layers)
    assert len(narrow_problems.tasks()) == 4 * 32


@pytest.mark.parametrize(
    ("package", "ours", "count"),
    [
        (gradients_contestants, ["im2col", "im2col NHWC", "plan", "plan NHWC"], 10),
        (narrow_contestants, ["conv", "conv NHWC", "plan", "plan NHWC"], 11),
    ],
)
def test_every_file_of_the_other_contests_is_a_contestant(package: ModuleType, ours: list[str], count: int) -> None:
    """Ours stand first; all of them travel to other processes."""
    found = discover(package)
    assert [c.name for c in found if c.role is Role.OURS] == [c.name for c in found[:4]] == ours
    assert len({c.name for c in found}) == len(found) == count
    assert [c.name for c in pickle.loads(pickle.dumps(found))] == [c.name for c in found]  # noqa: S301 (its own)


def offered(
    contestant: SeatedContestant[WorkT, Any],
    works: list[WorkT],
    answer: Callable[[WorkT], NDArray[np.float64]],
    folder: Path,
) -> list[WorkT]:
    """Return the works that a contestant offers, each checked and timed."""
    found = []
    for work in works:
        np.save(folder / "answer.npy", answer(work))
        assert seat.prepare(contestant, work, 1, folder / "answer.npy") is None, work
        if seat.is_ready():
            assert min(seat.turn()) > 0
            found.append(work)
    return found


@pytest.mark.wide
@pytest.mark.parametrize("contestant", installed(gradients_contestants))
def test_an_installed_contestant_differentiates_rightly(contestant: Differentiator, tmp_path: Path) -> None:
    """Every kind at every layer for those with weights in every call; plans and engines know the transpose only."""
    found = offered(contestant, ADJOINTS, gradients_problems.answer, tmp_path)
    kinds = {task.kind for task in found}
    assert kinds == (set(gradients_problems.KINDS) if contestant.is_one_shot else {gradients_problems.TRANSPOSE})
    if contestant.role is Role.OURS:
        assert len(found) == len(FLAT) * len(kinds)


@pytest.mark.wide
@pytest.mark.parametrize("contestant", installed(narrow_contestants))
def test_an_installed_contestant_convolves_narrow_numbers_rightly(contestant: NarrowConvolver, tmp_path: Path) -> None:
    """Every kind that it offers."""
    assert offered(contestant, NARROW, narrow_problems.answer, tmp_path)


@pytest.mark.parametrize("name", ["ORT", "OpenVINO", "OpenVINO NHWC"])
def test_a_prepared_call_keeps_the_arrays_that_it_reads(name: str) -> None:
    """Engines are told an address: an image that dies before the turns would be read all the same."""
    contestant = next(c for c in discover(convolution_contestants) if c.name == name)
    if not contestant.version:
        pytest.skip(f"{contestant.distribution} is not installed")
    problem = contestant.give(CONVOLUTIONS[0], 1)
    image, call = weakref.ref(problem.image), contestant.prepare(problem)
    del problem
    assert image() is not None
    del call
    assert image() is None


def prepare_without_sums(problem: gradients_problems.Problem) -> Callable[[], NDArray[np.float32]]:
    """Return zeros for whatever is sought."""
    return lambda: np.zeros_like(problem.out)


def prepare_transposed(problem: gradients_problems.Problem) -> Callable[[], NDArray[np.float32]]:
    """Return an array with its axes in the wrong order."""
    return lambda: problem.out.T


@pytest.mark.parametrize(
    ("kind", "prepare", "complaint"),
    one_in(
        3,
        [
            ("dx", prepare_without_sums, r"432 of 432 elements are off by more than 2.6e-05, the worst by \S+"),
            ("dw", prepare_without_sums, r"108 of 108 elements are off by more than 5.5e-05, the worst by \S+"),
            ("transpose", prepare_transposed, r"its shape is \(8, 9, 3, 2\) instead of \(2, 3, 9, 8\)"),
        ],
    ),
)
def test_a_wrong_gradient_is_caught(
    kind: str, prepare: Callable[[gradients_problems.Problem], Callable[[], NDArray[np.float32]]], complaint: str
) -> None:
    """The message names contestant, layer and kind."""
    planted = Differentiator("planted", "numpy", prepare)
    with pytest.raises(WrongResultError, match=f"^planted: wrong result of strided {kind}: {complaint}$"):
        measure_planted(planted, Task(CONVOLUTIONS[0], kind), gradients_problems.answer)


@pytest.mark.parametrize(("kind", "step"), [("int32", 1), ("uint8", 1), ("bfloat16", 3), ("float32", 40)])
def test_narrow_results_are_judged_by_what_their_dtype_can_hold(kind: str, step: int) -> None:
    """The nearest numbers to the exact sums pass; a step away, in the last place, one element is wrong."""
    task = Task(FLAT[0], kind)
    problem, right = narrow_problems.make_problem(task, "NCHW", 1), narrow_problems.answer(task)
    nearest = right.astype(np.float32)
    result: NDArray[Any]
    if kind == "int32":
        result = right.astype(np.int32)
    elif kind == "uint8":
        scale = problem.x_scale * problem.w_scale.reshape(-1, 1, 1) / problem.y_scale
        result = np.clip(np.round(nearest * scale), 0, 255).astype(np.uint8)
    else:
        result = nearest if kind == "float32" else ((nearest.view(np.uint32) + 0x8000) >> 16).astype(np.uint16)
    assert problem.complaint(result, right) is None
    index = np.unravel_index(np.argmax(right), right.shape)
    bits = result.view(f"u{result.dtype.itemsize}")
    bits[index] -= step
    wrong = problem.complaint(result, right)
    assert wrong is not None
    assert wrong.startswith(f"1 of {right.size} elements are off by more than ")
    assert problem.complaint(result.astype(np.float64), right) == (
        f"it is float64 {right.shape} instead of {problem.out.dtype} {right.shape}"
    )


def test_small_integers_are_exact_in_bfloat16(torch: Any) -> None:
    """As bits, there and back; torch reads the same numbers from them."""
    integers = np.arange(-127, 256)
    bits = narrow_problems.to_bits(integers)
    assert np.array_equal(narrow_problems.from_bits(bits), integers)
    read = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    assert read.tolist() == integers.tolist()


@pytest.mark.wide
@pytest.mark.parametrize(
    ("name", "tested", "package", "tasks", "titles"),
    [
        (
            "gradients",
            gradients_contest,
            gradients_contestants,
            ADJOINTS,
            [
                "GFLOP/s of dx by the best call, threads: 1\n\nlayer ",
                "Ours as a multiple of the faster of torch's two, threads: 1; geometric mean (worst layer)",
                "im2col / explicit",
            ],
        ),
        (
            "narrow",
            narrow_contest,
            narrow_contestants,
            NARROW,
            [
                "GOP/s of int32 by the median call, threads: 1\n\nlayer ",
                "Ours as a multiple of the best peer with the same numbers, threads: 1; geometric mean (worst layer)",
                "Ours as a multiple of itself with float32, threads: 1; geometric mean (worst layer), best calls",
            ],
        ),
    ],
)
def test_the_other_commands_print_tables_and_write_the_csv(
    name: str,
    tested: ModuleType,
    package: ModuleType,
    tasks: list[Task],
    titles: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line a cell of the layers and kinds that the options choose; memory of the tagged layers."""
    entered = [c for c in discover(package) if c.role is Role.OURS or c.name == "explicit"]
    monkeypatch.setattr(tested, "discover", lambda _: entered)
    monkeypatch.setattr(tested, "tasks", lambda: tasks)
    path = tmp_path / "new" / "cells.csv"
    arguments = ["--layers", "strided", "--repeats", "1", "--seconds", "0.001", "--csv", str(path)]
    assert main([name, *arguments, "--kinds", "d*,int32,float32", "--memory-layers", "tagged"]) == 0
    printed = capsys.readouterr().out
    assert all(title in printed for title in titles)
    assert "Memory beyond image, weights and result, threads: 1" in printed
    with path.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert {cell["class"] for cell in cells} == ({"dx", "dw"} if name == "gradients" else {"int32", "float32"})
    assert_speeds(cells, "best_gflop_per_second", "mflop", 1e6)


def test_narrow_numbers_are_compared_with_wide_ones_layer_by_layer() -> None:
    """And with the best peer of the same kind only."""
    entered = [
        NarrowConvolver("plan", "numpy", prepare_nothing, Role.OURS),
        NarrowConvolver("slow", "numpy", prepare_nothing),
        NarrowConvolver("fast", "numpy", prepare_nothing),
    ]
    times = {"int32": {"plan": 1.0, "slow": 4.0, "fast": 3.0}, "float32": {"plan": 5.0}}
    measured = [
        match.Measurement(1, Task(FLAT[0], kind), name, (time, time))
        for kind, cells in times.items()
        for name, time in cells.items()
    ]
    printed = narrow_report.report(rounds(measured, entered))
    assert "\nint32       1    best               0.0  3.00 (3.00)  3.00 (3.00)\n" in printed
    assert "\nfloat32     1" not in printed
    assert printed.endswith("\nplan        5.00 (5.00)")


@pytest.mark.wide
def test_the_command_of_labelled_arrays_prints_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours beside all others; a wrong one is an error."""
    require("xarray")
    monkeypatch.setattr(labelled, "SIZES", ((30, 3),))
    assert main(["xarray", "--repeats", "1", "--seconds", "0"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("3×3 over 30²")]
    names = labelled.OURS, labelled.ROLLING, labelled.OPTIMIZED, labelled.SCIPY
    for line, name in zip(lines, names, strict=True):
        assert re.match(rf"3×3 over 30² +{name} +\d+\.\d\d +\d+\.\d +(\d+\.\d|–)$", line)
    right = labelled.calls(30, 3)[1]
    monkeypatch.setattr(labelled, "calls", lambda *_: ({"planted": lambda: right + 1}, right))
    with pytest.raises(WrongResultError, match=r"^planted: wrong result of 3×3 over 30²$"):
        labelled.timed(30, 3, 1, 0.0)


@pytest.mark.wide
def test_the_command_of_clusters_prints_a_table_and_draws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Seconds, numbers a second, the peak, the scheduler; a wrong pixel is an error."""
    for name in ("distributed", "zarr", "matplotlib"):
        require(name)
    short = ["cluster", "--sizes", "700", "--processes", "1", "--chunk", "300", "--memory", "1GB"]
    assert main([*short, "--chart", str(tmp_path / "chart.svg")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^700² +1 +\d+\.\d +\d+ +\d+$", printed, re.MULTILINE)
    assert re.search(r"the scheduler: \d+ tasks a second that do nothing; \d+ tasks a chunk\n$", printed)
    assert (tmp_path / "chart.svg").read_text("utf-8").count("<svg") == 1
    monkeypatch.setattr(cluster, "differences", lambda *_: 3)
    with pytest.raises(WrongResultError, match=r"^700²: 3 pixels differ from those of the image in this process$"):
        cluster.run(argparse.Namespace(sizes="700", processes="1", chunk=300, memory="1GB", chart=None))
    with pytest.raises(SystemExit, match=r"^this process may use 1 to \d+ CPUs$"):
        main(["cluster", "--processes", "4097"])


FRAMES = [
    frames_problems.Signal("frames", (40,), (8,), (3,)),
    frames_problems.Signal("channels", (2, 9, 4), (3, 2), (2, 1)),
]


@pytest.mark.parametrize("orientation", frames_problems.ORIENTATIONS)
@pytest.mark.parametrize("signal", FRAMES, ids=lambda signal: signal.name)
def test_frames_are_answered_by_counting(signal: frames_problems.Signal, orientation: Any) -> None:
    """The answer is what plain loops fold from the patches."""
    problem = frames_problems.make_problem(signal, orientation, 1)
    expected = np.zeros((signal.channels, *signal.spatial))
    for place in np.ndindex(problem.patches.shape):
        c, tap, stop = place[0], place[1 : 1 + len(signal.kernel)], place[1 + len(signal.kernel) :]
        pixel = tuple(o * s + t for o, s, t in zip(stop, signal.stride, tap, strict=True))
        expected[(c, *pixel)] += problem.patches[place]
    np.testing.assert_array_equal(problem.answer, expected.reshape(signal.shape))


@pytest.mark.wide
def test_every_nest_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each orientation of each random signal, and what all say together."""
    require("llvmlite")
    assert main(["frames", "--nests", "2", "--seed", "5", "--repeats", "1", "--seconds", "0.001"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(", stride ") == 4
    assert "The chosen nest / the fastest: " in printed
    assert "below 1: " in printed


def test_a_measured_nest_knows_what_its_choice_cost() -> None:
    """The chosen nest against the fastest, and the faster loop against ours."""
    signal = FRAMES[0]
    measured = [
        frames_nests.Measured(signal, "rows", [3.0, 2.0], 0, 4.0, 8.0),
        frames_nests.Measured(signal, "columns", [2.0], 0, 4.0, 2.0),
    ]
    assert [(each.loss, each.gain) for each in measured] == [(1.5, 2.0), (1.0, 0.5)]
    assert frames_nests.report(measured).endswith(
        "The chosen nest / the fastest: 1.500 in geometric mean, 1.50 at worst.\n"
        "The faster loop / im2col: 1.00 in geometric mean, 0.50 at worst; below 1: 1 of 2."
    )


def test_the_command_of_frames_prints_a_table_and_writes_the_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every contestant that is installed, in both orientations; a wrong result is an error."""
    assert {signal.matrix_bytes > 1e6 for signal in frames_problems.read_signals()} == {True}
    monkeypatch.setattr(frames_contest, "read_signals", lambda: FRAMES)
    path = tmp_path / "new" / "cells.csv"
    assert (
        main(
            ["frames", "--layers", "f*,channels", "--contestants", "taps,frames", "--repeats", "1", "--csv", str(path)]
        )
        == 0
    )
    assert "the faster loop / im2col" in capsys.readouterr().out
    with path.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    ours = [cell for cell in cells if cell["contestant"] in {"im2col", "taps", "frames"}]
    assert len(ours) == 3 * len(FRAMES) * 2

    def prepare_wrong(problem: frames_problems.Problem) -> Callable[[], NDArray[np.float32]]:
        return lambda: problem.answer + 1

    wrong = Contestant("planted", "numpy", prepare_wrong)
    with pytest.raises(
        WrongResultError, match=r"^planted: wrong result of frames, rows: 40 of 40 elements differ from the oracle's$"
    ):
        frames_contest.measure(FRAMES, [wrong], 1, 1, 1)


def test_every_file_of_calls_is_a_contestant() -> None:
    """Ours stands first."""
    names = ["im2col", "im2col, tensors", "torch", "torch inference"]
    assert [c.name for c in discover(calls_contestants)] == names


@pytest.mark.parametrize("contestant", installed(calls_contestants))
@pytest.mark.parametrize("padding", calls_contest.PADDINGS)
def test_an_installed_contestant_makes_every_call(contestant: Contestant[Any], padding: int) -> None:
    """In small integers, exactly; gradients and plans of tensors are torch's affair, and arrays record nothing."""
    missing = {
        "im2col": {calls_problems.RECORDED},
        "im2col, tensors": {calls_problems.PLAN, calls_problems.IMAGE_GRADIENT, calls_problems.WEIGHT_GRADIENT},
        "torch inference": {calls_problems.RECORDED},
    }
    for call in calls_problems.CALLS:
        problem = calls_problems.make_problem(call, padding, 1)
        made = contestant.prepare(problem)
        assert (made is None) == (call in missing.get(contestant.name, ()))
        if made is not None:
            np.testing.assert_array_equal(np.asarray(made()), problem.answer)


@pytest.mark.parametrize("padding", calls_contest.PADDINGS)
def test_the_answers_of_calls_are_adjoint(padding: int) -> None:
    """The inner product of grad and conv(x) is that of either gradient, that of columns and im2col(x) is the fold's."""
    answers = {call: calls_problems.make_problem(call, padding, 1).answer for call in calls_problems.CALLS}
    p = calls_problems.make_problem(calls_problems.CONVOLUTION, padding, 1)
    whole = np.vdot(p.grad, answers[calls_problems.CONVOLUTION])
    assert np.vdot(answers[calls_problems.IMAGE_GRADIENT], p.x) == whole
    assert np.vdot(answers[calls_problems.WEIGHT_GRADIENT], p.w) == whole
    assert np.vdot(p.columns, answers[calls_problems.COLUMNS]) == np.vdot(answers[calls_problems.FOLD], p.x)
    np.testing.assert_array_equal(answers[calls_problems.PLAN], answers[calls_problems.CONVOLUTION])


@pytest.mark.wide
def test_the_command_of_calls_prints_tables_and_writes_the_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call with and without padding; then what fresh processes wait for. A wrong result is an error."""
    path = tmp_path / "new" / "cells.csv"
    options = ["--layers", "conv2d,im2col", "--contestants", "none", "--repeats", "2", "--processes", "1"]
    assert main(["calls", *options, "--csv", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "im2col / the fastest peer" in printed
    assert re.findall(r"^(first .*?|import .*?)  ", printed, re.MULTILINE) == [
        *("import numpy", "import im2col, then"),
        *("first conv2d, cold cache", "first conv2d, warm cache", "first im2col"),
    ]
    with path.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert list(dict.fromkeys(cell["call"] for cell in cells)) == [
        f"{call}, padding {padding}" for call in ("conv2d", "im2col") for padding in (0, 1)
    ]
    assert min(float(cell["best_seconds"]) for cell in cells) > 0
    with pytest.raises(SystemExit, match=r"^no call matches 'none'$"):
        main(["calls", "--layers", "none"])

    def prepare_wrong(problem: calls_problems.Problem) -> Callable[[], NDArray[np.float32]]:
        return lambda: problem.answer + 1

    wrong = Contestant("planted", "numpy", prepare_wrong)
    message = r"^planted: wrong result of im2col, padding 0: 2592 of 2592 elements differ from the oracle's$"
    with pytest.raises(WrongResultError, match=message):
        calls_contest.measure(["im2col"], [wrong], 1, 1, 1)


def test_every_file_of_filters_is_a_contestant() -> None:
    """Ours, and those of OpenCV and SciPy."""
    names = [
        "conv2d",
        "plan",
        "boxFilter",
        "correlate1d, twice",
        "filter2D",
        "oaconvolve",
        "sepFilter2D",
        "uniform_filter",
    ]
    assert [c.name for c in discover(filters_contestants)] == names


@pytest.mark.parametrize("kind", filters_problems.KINDS)
def test_contestants_filter_alike(kind: str) -> None:
    """Ours are right; the answer is that of windows, one by one."""
    for size in (3, 7):
        problem = filters_problems.make_problem(kind, size, 33, 1)
        padded = np.pad(problem.image, size // 2).astype(float)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
        answer = np.einsum("yxij,ij->yx", windows, problem.kernel.astype(float))
        np.testing.assert_allclose(problem.answer, answer, rtol=0, atol=1e-5)
        for contestant in discover(filters_contestants):
            call = contestant.prepare(problem) if contestant.version and contestant.role is Role.OURS else None
            assert call is None or problem.complaint(call()) is None


@pytest.mark.wide
def test_the_command_of_filters_prints_a_table_and_writes_the_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each kernel and image; a wrong result is an error, and so is a kind that there is not."""
    path = tmp_path / "new" / "filters.csv"
    options = ["--layers", "gaussian", "--sizes", "5", "--sides", "40,50", "--contestants", "none", "--repeats", "2"]
    assert main(["filters", *options, "--csv", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^(gaussian .*?)  ", printed, re.MULTILINE) == ["gaussian 5×5, 40²", "gaussian 5×5, 50²"]
    with path.open(encoding="utf-8") as file:
        assert min(float(cell["best_seconds"]) for cell in csv.DictReader(file)) > 0
    with pytest.raises(SystemExit, match=r"^no kind of kernel matches 'none'$"):
        main(["filters", "--layers", "none"])

    def prepare_wrong(problem: filters_problems.Problem) -> Callable[[], NDArray[np.float32]]:
        return lambda: problem.image

    wrong = Contestant("planted", "numpy", prepare_wrong)
    with pytest.raises(WrongResultError, match=r"^planted: wrong result of random 3×3, 9²: off by .* of the greatest"):
        filters_contest.measure([("random", 3, 9)], [wrong], 1, 1, 1)


def test_the_command_of_networks_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each model that is installed; a wrong result is an error, and so is a model that there is not."""
    onnx = require("onnx")
    require("onnxruntime")
    (tmp_path / "tiny_models").mkdir()
    weights = {"w": np.ones((4, 3, 3, 3), np.float32)}
    model = parsed("net (float[1, 3, H, W] x) => (float[N, 4, A, B] y) { c = Conv (x, w) y = Relu (c) }", **weights)
    onnx.save(model, tmp_path / "tiny_models" / "tiny.onnx")
    monkeypatch.syspath_prepend(tmp_path)
    models = [
        networks.Model("tiny", "tiny_models/tiny.onnx", (1, 3, 8, 9)),
        networks.Model("lost", "no_such/a.onnx", ()),
    ]
    monkeypatch.setattr(networks, "MODELS", models)
    assert main(["networks", "--runs", "2"]) == 0
    assert re.findall(r"^(tiny|lost) .*[\d.]+$", capsys.readouterr().out, re.MULTILINE) == ["tiny"]
    with pytest.raises(SystemExit, match=r"^no model that is installed matches 'lost'$"):
        main(["networks", "--models", "lost"])
    with pytest.raises(SystemExit, match=r"^this process may use 1 to \d+ CPUs$"):
        main(["networks", "--threads", "0"])
    monkeypatch.setattr(networks, "TOLERANCE", -1)
    assert main(["networks", "--runs", "1"]) == 1
    assert capsys.readouterr().err == "bench: tiny: the result differs from the runtime's\n"


def test_contestants_pool_alike() -> None:
    """Ours are right, of every layer; the answer is that of windows, one by one."""
    found = discover(pooling_contestants)
    assert [c.name for c in found] == ["im2col", "im2col NHWC", "ONNX Runtime", "torch", "torch channels-last"]
    for layer in pooling_problems.LAYERS[::3]:
        problem = pooling_problems.make_problem(layer.miniature(), 1)
        pads = [(0, 0), (0, 0), *((p, p) for p in layer.padding)]
        padded = np.pad(problem.first, pads, constant_values=-np.inf if layer.kind == "max" else 0)
        axes = tuple(range(2, padded.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(padded.astype(float), layer.kernel, axes)
        windows = windows[:, :, *(slice(None, None, s) for s in layer.stride)]
        over = tuple(range(-len(axes), 0))
        answer = windows.max(over) if layer.kind == "max" else windows.mean(over)
        np.testing.assert_allclose(problem.answer, answer, rtol=1e-12, atol=1e-12)
        for contestant in found[:2]:
            call = contestant.prepare(problem)
            assert problem.complaint(call()) is None


def test_the_command_of_pooling_prints_a_table_and_writes_the_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each pool and two of summary; a wrong result is an error, and so is a pool that there is not."""
    monkeypatch.setattr(pooling_contest, "LAYERS", [layer.miniature() for layer in pooling_problems.LAYERS])
    path = tmp_path / "new" / "pooling.csv"
    assert (
        main(["pooling", "--layers", "vgg*4,vgg*5", "--contestants", "none", "--repeats", "2", "--csv", str(path)]) == 0
    )
    printed = capsys.readouterr().out
    assert re.findall(r"^(vgg16 .|geometric mean|worst) ", printed, re.MULTILINE) == [
        "vgg16 4",
        "vgg16 5",
        "geometric mean",
        "worst",
    ]
    with path.open(encoding="utf-8") as file:
        assert min(float(cell["best_seconds"]) for cell in csv.DictReader(file)) > 0
    with pytest.raises(SystemExit, match=r"^no pool matches 'none'$"):
        main(["pooling", "--layers", "none"])

    def prepare_wrong(problem: pooling_problems.Problem) -> Callable[[], NDArray[np.float32]]:
        return lambda: problem.answer.astype(np.float32) + 1

    wrong = Contestant("planted", "numpy", prepare_wrong)
    with pytest.raises(WrongResultError, match=r"^planted: wrong result of vgg16 5: off by .* of the greatest"):
        pooling_contest.measure([pooling_problems.LAYERS[6].miniature()], [wrong], 1, 1, 1)


def test_calls_together_are_counted() -> None:
    """A batch is so many calls, and tells the seconds of one."""
    made: list[int] = []
    (seconds,) = calls_together(lambda: made.append(1), 7)
    assert len(made) == 7
    assert seconds > 0


def test_the_command_of_the_model_measures_candidates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A line for each layer and layout, the loss of the choice and its mean; the file has every candidate."""
    require("llvmlite")
    layer = next(each for each in convolution_layers.read_layers() if each.name == "r50_l1_3x3_64").miniature()
    monkeypatch.setattr(model, "read_layers", lambda: [layer])
    path = tmp_path / "deep" / "model.csv"
    assert main(["model", "--layers", layer.name, "--within", "1.3", "--seconds", "0", "--csv", str(path)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^2 choices: geometric mean \d\.\d{3}, worst \d\.\d{3}$", text, re.MULTILINE)
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    for layout in ("NCHW", "NHWC"):
        line = re.search(
            rf"^(\d\.\d{{3}})  {layer.name} {layout}, (\d+) candidates, \d+ GFLOP/s by ", text, re.MULTILINE
        )
        found = [row for row in rows if row["layout"] == layout]
        assert line is not None
        assert len(found) == int(line[2]) >= 1
        cycles, seconds = ([float(row[name]) for row in found] for name in ("cycles", "seconds"))
        assert cycles == sorted(cycles)
        assert cycles[-1] <= 1.3 * cycles[0]
        assert f"{seconds[0] / min(seconds):.3f}" == line[1]
    choices = {row["layout"]: float(row["seconds"]) for row in reversed(rows)}
    ratio = f"{choices['NHWC'] / choices['NCHW']:.3f}"
    assert layer.terms >= 32
    assert f"       {layer.name}: NCHW has {ratio} of the speed of NHWC\n" in text
    assert f"NCHW ÷ NHWC, 1 layers of 32 taps and more: geometric mean {ratio}, least {ratio}\n" in text


@pytest.mark.wide
def test_the_command_of_the_choice_measures_algorithms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A line for each layer and layout, of the table and random ones, with the loss of the choice; the file has all."""
    require("llvmlite")
    layer = next(each for each in convolution_layers.read_layers() if each.name == "r50_l1_3x3_64").miniature()
    monkeypatch.setattr(choice, "read_layers", lambda: [layer])
    monkeypatch.setattr(choice, "random_layers", lambda _, count: [layer] * count)
    path = tmp_path / "deep" / "choice.csv"
    assert main(["choice", "--layers", layer.name, "--random", "1", "--csv", str(path)]) == 0
    text = capsys.readouterr().out
    for what in ("layers of the table", "random layers"):
        assert re.search(rf"^{what}, 2 choices: geometric mean \d\.\d{{3}}, worst \d\.\d{{3}}$", text, re.MULTILINE)
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert {row["algorithm"] for row in rows} >= {"explicit", "implicit", "winograd"}
    for line in re.findall(rf"^(\d\.\d{{3}})  {layer.name} NCHW, (\w+) chosen: ", text, re.MULTILINE):
        loss, chosen = float(line[0]), line[1]
        assert loss >= 1
        assert chosen in {row["chosen"] for row in rows}


def test_random_layers_are_layers() -> None:
    """As many as were asked for, of every kind, none too small or too large to be measured; the same for a seed."""
    found = choice.random_layers(np.random.default_rng(3), 60)
    assert found == choice.random_layers(np.random.default_rng(3), 60)
    assert len(found) == 60
    assert {len(layer.spatial) for layer in found} == {1, 2, 3}
    assert any(layer.groups > 1 for layer in found)
    assert all(2e6 <= layer.flops <= 5e8 and min(layer.output_spatial) > 0 for layer in found)


@pytest.mark.wide
def test_the_command_of_what_pays_measures_algorithms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A line for each case, the choice marked; the file has all algorithms, and a wrong one is an error."""
    require("llvmlite")
    cases = pays_cases.Case("channels", 8, 8, 12, 3), pays_cases.Case("photograph", 1, 1, 80, 9, 1)
    monkeypatch.setattr(pays, "CASES", cases)
    path = tmp_path / "deep" / "pays.csv"
    assert main(["pays", "--seconds", "0", "--no-chart", "--csv", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for case in cases:
        (line,) = (line for line in lines if line.startswith(str(case)))
        assert line.count("*") == 1
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    assert {row["algorithm"] for row in rows if row["kind"] == "photograph"} >= {"explicit", "implicit", "separable"}
    assert all(float(row["seconds"]) > 0 for row in rows)
    x, w = cases[1].arrays()
    assert np.linalg.matrix_rank(w[0, 0], 1e-5) == 1
    assert x.shape == (1, 1, 80, 80)


def test_a_wrong_candidate_is_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile whose result is wrong ends the command; it says which one."""
    require("llvmlite")
    layer = CONVOLUTIONS[0]
    monkeypatch.setattr(model, "answer", lambda each: convolution_problems.answer(each) + 1)
    with pytest.raises(WrongResultError, match=r"^strided NHWC, \w+ along the lanes, .*: "):
        model.measured(layer, "NHWC", 1.0, 0.0)


def test_the_command_of_blocks_prints_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for each size and kernel; files that differ end it, and a system that tells no peak."""
    if not memory.is_told():
        missing("this system does not tell a process's peak")
    arguments = ["blocks", "--sizes", "60,90", "--kernels", "3", "--memory", "1", "--runs", "1"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[-2:]] == [["60²", "3×3"], ["90²", "3×3"]]
    monkeypatch.setattr("bench.blocks.filecmp.cmp", lambda *_, **__: False)
    assert main(arguments) == 1
    monkeypatch.setattr(memory, "is_told", lambda: False)
    with pytest.raises(SystemExit, match="does not tell a process's peak"):
        main(arguments)
