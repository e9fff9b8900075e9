"""How good the choice of an algorithm is: each is measured for a layer, and the choice is held against the fastest.

Layers are those of the table, and random ones.
"""

from __future__ import annotations

import csv
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from im2col.algorithms import choose, offers
from im2col.algorithms.tuning import measured as times_of
from im2col.spec.problem import PRECISIONS, make_problem

from . import options as common
from .contestants import WrongResultError
from .convolution.layers import Layer, read_layers
from .convolution.ours import window_options
from .convolution.problems import answer, channels_first
from .convolution.problems import make_problem as make_data
from .processes import fresh_process
from .tables import geometric_mean, machine

if TYPE_CHECKING:
    import argparse

    from im2col.algorithms.verdicts import Verdict

    from .contestants import Layout

HELP = "Measure every algorithm, layer by layer, and what the choice between them loses against the best."
CSV = Path("bench", "out", "choice.csv")
LAYOUTS: tuple[Layout, ...] = ("NCHW", "NHWC")
_RANDOM = 200
_FLOPS = 2e6, 5e8
"""Of a random layer: enough that the clock is exact, little enough that many are measured."""
_NOT_MEASURED = ("reference",)
"""The definition: plain loops, which take minutes."""


class Loss(NamedTuple):
    """A layer's verdict, with the algorithm that was chosen for it."""

    chosen: str
    found: Verdict

    @property
    def loss(self) -> float:
        """Seconds of the choice ÷ seconds of the fastest algorithm."""
        seconds = {each.algorithm: each.seconds for each in self.found}
        return seconds[self.chosen] / min(seconds.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--layers", default="*", help="only layers whose name, class or tag matches")
    parser.add_argument("--random", type=int, default=_RANDOM, metavar="N", help="so many random layers, too")
    parser.add_argument("--seed", type=int, default=0, help="of the random layers")
    parser.add_argument("--precision", choices=PRECISIONS, default="native")
    parser.add_argument("--csv", type=Path, default=CSV, help="where every algorithm's time is written")


def run(options: argparse.Namespace) -> None:
    """Measure and print, for each layer and layout, what the choice loses; at the end the geometric mean and the worst.

    Raises
    ------
    WrongResultError
        If an algorithm's result is wrong.
    """
    print(machine())
    print("Loss: seconds of the algorithm that a plan chooses ÷ seconds of the fastest one. One thread.")
    table = [layer for layer in read_layers() if common.matches(options.layers, *layer.words)]
    rng = np.random.default_rng(options.seed)
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with options.csv.open("w", newline="", encoding="utf-8") as file, fresh_process(1) as ask:
        lines = csv.writer(file)
        lines.writerow(("layer", "layout", "chosen", "algorithm", "way", "cycles", "seconds"))
        for title, layers in (("layers of the table", table), ("random layers", random_layers(rng, options.random))):
            losses = []
            for layer in layers:
                for layout in LAYOUTS:
                    result = ask(partial(measured, layer, layout, options.precision))
                    losses.append(result.loss)
                    lines.writerows((layer.name, layout, result.chosen, *each) for each in result.found)
                    times = ", ".join(f"{each.algorithm} {each.seconds * 1e3:.3g} ms" for each in result.found)
                    print(f"{result.loss:.3f}  {layer.name} {layout}, {result.chosen} chosen: {times}", flush=True)
            if losses:
                mean, worst = geometric_mean(losses), max(losses)
                print(f"{title}, {len(losses)} choices: geometric mean {mean:.3f}, worst {worst:.3f}", flush=True)


def measured(layer: Layer, layout: Layout, precision: str) -> Loss:
    """Return the times of all algorithms for a layer.

    Parameters
    ----------
    layer : Layer
    layout : {"NCHW", "NHWC"}
    precision : str

    Raises
    ------
    WrongResultError
        If a result is wrong.
    """
    data = make_data(layer, layout, 1)
    keywords = {key: value for key, value in window_options(layer, layout, 1).items() if key != "threads"}
    arrays = data.image.shape, data.weight.shape, data.image.dtype, data.weight.dtype
    problem = make_problem(*arrays, precision=precision, prepared=True, **keywords)
    chosen = choose(problem, "auto", 1)
    found = {name: offer for name, offer in offers(problem, 1).items() if offer.rank and name not in _NOT_MEASURED}
    x, out, right = channels_first(data.image, layout), channels_first(data.out, layout), answer(layer)
    for name, offer in found.items():
        data.out.fill(float("nan"))
        offer.prepare(data.weight, None, None)(x, out)
        complaint = data.complaint(data.out, right)
        if complaint is not None:
            raise WrongResultError(f"{layer.name} {layout}, {name}: {complaint}")
    ordered = sorted(found.items(), key=lambda pair: pair[0] != chosen.algorithm)
    return Loss(chosen.algorithm, times_of(problem, ordered, 1, (data.weight, None, None)))


def random_layers(rng: np.random.Generator, count: int) -> list[Layer]:
    """Return layers of one to three axes, of all kinds: plain, strided, dilated, grouped, depthwise.

    Examples
    --------
    >>> [layer.name for layer in random_layers(np.random.default_rng(0), 2)]
    ['random_0', 'random_1']
    """
    found: list[Layer] = []
    while len(found) < count:
        axes = int(rng.choice([1, 2, 2, 2, 3]))
        kernel = tuple(int(n) for n in rng.choice([1, 2, 3, 3, 3, 4, 5, 7], axes))
        dilation = tuple(int(n) for n in rng.choice([1, 1, 1, 1, 2], axes))
        stride = tuple(int(n) for n in rng.choice([1, 1, 1, 2], axes))
        spatial = tuple(int(2.0 ** rng.uniform(2, 12 / axes)) + 8 for _ in range(axes))
        channels, filters = (int(2.0 ** rng.uniform(0, 9)) for _ in range(2))
        groups = 1
        if rng.random() < 0.2:
            groups = int(rng.choice([2, 4, channels]))
            channels, filters = groups * -(-channels // groups), groups * -(-filters // groups)
        padding = tuple(int(rng.choice([0, d * (k - 1) // 2])) for k, d in zip(kernel, dilation, strict=True))
        name, batch = f"random_{len(found)}", int(rng.choice([1, 1, 1, 4]))
        window = (kernel, stride, padding, dilation)
        layer = Layer(name, "random", batch, channels, spatial, filters, *window, groups)
        least, most = _FLOPS
        if min(layer.output_spatial) > 0 and least <= layer.flops <= most and math.prod(layer.image_shape) < 1 << 24:
            found.append(layer)
    return found
