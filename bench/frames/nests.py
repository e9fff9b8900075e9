"""Every way in which the engine can make a sum, on random signals, beside the one that it chooses and NumPy's loops."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from im2col import col2im
from im2col.engine import scatter
from im2col.engine.compiler import load
from im2col.engine.scatter_costs import plan_sum
from im2col.engine.scatter_plan import nests
from im2col.engine.scatter_tables import address

from ..clock import one_call, take_turns
from ..contestants import WrongResultError
from ..tables import geometric_mean, table
from .contestants import numpy_frames, numpy_taps
from .problems import ORIENTATIONS, Problem, Signal, make_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from im2col.engine.scatter_plan import SumPlan

_MATRIX_BYTES = 16 << 10, 4 << 20
"""Of the smallest and of the largest column matrix."""
_IMAGE_BYTES = 6 << 20
"""At most: what is larger is measured by the memory's speed."""
_FRAMES, _TAPS = 2000, 2000
"""Positions, and taps, beyond which a loop over them is left out."""


class Measured(NamedTuple):
    """A fold: seconds of the fastest call of each nest, which of them is chosen, of `col2im`, and of the loops."""

    signal: Signal
    orientation: str
    nests: list[float]
    chosen: int
    ours: float
    loops: float

    @property
    def loss(self) -> float:
        """The chosen nest's time as a multiple of the fastest one's."""
        return self.nests[self.chosen] / min(self.nests)

    @property
    def gain(self) -> float:
        """The faster loop's time as a multiple of ours."""
        return self.loops / self.ours


def random_signals(count: int, seed: int = 0) -> list[Signal]:
    """Return signals, images and volumes: long, tall, flat or square, of strides from 1 to beyond the kernel.

    Parameters
    ----------
    count, seed : int
    """
    rng, found = np.random.default_rng(seed), list[Signal]()
    while len(found) < count:
        axes, channels = int(rng.choice([1, 1, 2, 2, 2, 3])), int(rng.choice([1, 1, 2, 8]))
        kernel = [int(rng.choice([1, 2, 3, 5, 9, 16])) for _ in range(axes)]
        if axes == 1 and rng.random() < 0.5:
            kernel = [int(2 ** rng.uniform(3, 11))]
        strides = {
            "1": [1] * axes,
            "few": rng.integers(1, 5, axes).tolist(),
            "the kernel": kernel,
            "beyond the kernel": [k + int(rng.integers(1, 4)) for k in kernel],
            "overlapping": [max(1, k // int(rng.choice([2, 4]))) for k in kernel],
        }
        stride = strides[str(rng.choice(list(strides)))]
        least, most = map(math.log2, _MATRIX_BYTES)
        nbytes = 2 ** rng.uniform(least, most)
        positions = max(1, round(nbytes / (4 * channels * math.prod(kernel))))
        output = [int(n) for n in rng.choice([1, 2, 4], axes)]
        long = {"flat": axes - 1, "tall": 0}.get(str(rng.choice(["flat", "tall", "square"])))
        if long is None:
            output = [max(1, round(positions ** (1 / axes)))] * axes
        else:
            output[long] = max(1, positions // (math.prod(output) // output[long]))
        spatial = tuple((o - 1) * s + k for o, s, k in zip(output, stride, kernel, strict=True))
        shape = ((channels,) if channels > 1 else ()) + spatial
        signal = Signal("random", shape, tuple(kernel), tuple(stride))
        if _MATRIX_BYTES[0] <= signal.matrix_bytes <= _MATRIX_BYTES[1] and 4 * math.prod(shape) <= _IMAGE_BYTES:
            found.append(signal)
    return found


def measure_nests(signals: Sequence[Signal], repeats: int, seconds: float) -> list[Measured]:
    """Measure them in one thread, each result checked first.

    Parameters
    ----------
    signals : sequence of Signal
    repeats, seconds
        Of each way, see `take_turns`.

    Raises
    ------
    WrongResultError
        If a result is wrong.
    """
    measured = []
    for signal in signals:
        for orientation in ORIENTATIONS:
            problem = make_problem(signal, orientation, 1)
            ways, chosen = _ways(problem)
            for name, call in ways.items():
                if not np.array_equal(call().reshape(problem.answer.shape), problem.answer):
                    raise WrongResultError(f"{name} is wrong on {signal}, {orientation}")
            turns = {name: partial(one_call, call) for name, call in ways.items()}
            best = {name: min(t) for name, t in take_turns(turns, repeats, seconds, most_seconds=10 * seconds).items()}
            times = [t for name, t in best.items() if name.startswith("nest")]
            loops = min(t for name, t in best.items() if name.startswith("loop"))
            measured.append(Measured(signal, orientation, times, chosen, best["im2col"], loops))
    return measured


def _ways(problem: Problem) -> tuple[dict[str, Callable[[], NDArray[np.float32]]], int]:
    """Return every way to fold: ours, the loops, and the engine's nests; and the number of the chosen one."""
    s = problem.signal
    options = {"stride": s.stride, "orientation": problem.orientation, "threads": 1}
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {}
    ways["im2col"] = partial(col2im, problem.matrix, s.shape, s.kernel, **options)  # type: ignore[arg-type]  # of a mapping
    if math.prod(s.output) <= _FRAMES and (frames := numpy_frames.prepare(problem)):
        ways["loop over frames"] = frames
    if math.prod(s.kernel) <= _TAPS or len(ways) == 1:
        ways["loop over taps"] = numpy_taps.prepare(problem)
    entries = problem.patches[np.newaxis]
    image = np.empty((1, s.channels, *s.spatial), np.float32)
    walks = scatter._walks(image, entries, [scatter.Axis(step, 1, 0) for step in s.stride])
    plans = nests(walks, 4, 4)
    for i, plan in enumerate(plans):
        ways[f"nest {i}"] = _sum(plan, image.shape, entries)
    return ways, plans.index(plan_sum(walks, 4, 4))


def _sum(plan: SumPlan, shape: tuple[int, ...], entries: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    function = load(scatter._kernel(plan, "f4", "f4"))
    if function is None:
        raise SystemExit("the engine cannot be used here")
    [part] = scatter.parts_of(plan, 1)

    def call() -> NDArray[np.float32]:
        image = np.empty(shape, np.float32)
        part.run(function, address(image), address(entries))
        return image

    return call


def report(measured: Sequence[Measured]) -> str:
    """Return a table, and what it says together."""
    rows = []
    for each in measured:
        s = each.signal
        shape, kernel, stride = ("×".join(map(str, axes)) for axes in (s.shape, s.kernel, s.stride))
        times = (f"{1e3 * t:.3f}" for t in (each.nests[each.chosen], min(each.nests), each.ours, each.loops))
        cells = [f"{shape} by {kernel}, stride {stride}", each.orientation, str(len(each.nests)), *times]
        rows.append([*cells, f"{each.loss:.2f}", f"{each.gain:.2f}"])
    header = ["image", "patches as", "nests", "chosen", "fastest", "im2col", "loops", "loss", "loops / im2col"]
    losses = [each.loss for each in measured if len(each.nests) > 1]
    gains = [each.gain for each in measured]
    return "\n".join(
        [
            table(header, rows),
            "",
            f"The chosen nest / the fastest: {geometric_mean(losses):.3f} in geometric mean, {max(losses):.2f} "
            "at worst.",
            f"The faster loop / im2col: {geometric_mean(gains):.2f} in geometric mean, {min(gains):.2f} at worst; "
            f"below 1: {sum(gain < 1 for gain in gains)} of {len(gains)}.",
        ]
    )
