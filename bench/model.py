"""How good the choice of a tile is: the candidates of a layer are measured, and the choice is held against the best.

And what a layout costs: how fast the choice for channels first is, of the speed of that for channels last.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from im2col.algorithms.implicit.decide import candidates, every_tile
from im2col.algorithms.implicit.prepared import DecidedLayer, PreparedLayer
from im2col.engine.target import host
from im2col.spec.problem import make_problem

from . import options as common
from .clock import cpu_seconds, take_turns
from .contestants import WrongResultError
from .convolution.layers import read_layers
from .convolution.ours import window_options
from .convolution.problems import answer, channels_first
from .convolution.problems import make_problem as make_data
from .processes import fresh_process
from .tables import geometric_mean, machine

if TYPE_CHECKING:
    import argparse

    from .contestants import Layout
    from .convolution.layers import Layer

HELP = "Measure the tiles that the model weighs, layer by layer, and what its choice loses against the best."
CSV = Path("bench", "out", "model.csv")
LAYERS = "resnet50,squeezenet,stem,mbv2*,grouped,3d,1d"
LAYOUTS: tuple[Layout, ...] = ("NCHW", "NHWC")
_FEWEST_TERMS = 32
"""Taps of a sum from which on both layouts are to be as fast."""
_FIRST_TURNS = 5
_STRAY = 1.15
"""Times the fastest of the first turns: what took longer than that has no part in the last ones."""


class Measured(NamedTuple):
    """A way to compute a layer: how pixels are read and the tile, the model's cycles, seconds of its fastest call."""

    name: str
    cycles: float
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--layers", default=LAYERS, help=f"only layers whose name, class or tag matches; {LAYERS}")
    parser.add_argument(
        "--within", type=float, default=2.0, help="only tiles of at most so many times the least cycles"
    )
    parser.add_argument("--seconds", type=float, default=0.2, help="a candidate's time in the last turns")
    parser.add_argument("--csv", type=Path, default=CSV, help="where every candidate is written")


def run(options: argparse.Namespace) -> None:
    """Measure and print, for each layer, the loss of the choice; at the end its geometric mean and the worst.

    Raises
    ------
    WrongResultError
        If a candidate's result is wrong.
    """
    target = host()
    print(machine())
    print(f"Kernels for {target.cpu}, vectors of {target.vector_bytes} bytes, one thread.")
    print("Loss: seconds of the tile that the model chooses ÷ seconds of the best one.")
    losses: list[float] = []
    layouts: list[float] = []
    options.csv.parent.mkdir(parents=True, exist_ok=True)
    with options.csv.open("w", newline="", encoding="utf-8") as file, fresh_process(1) as ask:
        lines = csv.writer(file)
        lines.writerow(("layer", "layout", *Measured._fields))
        for layer in read_layers():
            chosen: dict[str, float] = {}
            for layout in LAYOUTS if common.matches(options.layers, *layer.words) else ():
                found = ask(partial(measured, layer, layout, options.within, options.seconds))
                lines.writerows((layer.name, layout, *each) for each in found)
                choice, best = found[0], min(found, key=lambda each: each.seconds)
                losses.append(choice.seconds / best.seconds)
                chosen[layout] = choice.seconds
                better = f"; better: {best.name}" if losses[-1] > 1.02 else ""
                speed = layer.flops / choice.seconds / 1e9
                print(
                    f"{losses[-1]:.3f}  {layer.name} {layout}, {len(found)} candidates, "
                    f"{speed:.0f} GFLOP/s by {choice.name}{better}",
                    flush=True,
                )
            if chosen and layer.terms >= _FEWEST_TERMS:
                layouts.append(chosen["NHWC"] / chosen["NCHW"])
                print(f"       {layer.name}: NCHW has {layouts[-1]:.3f} of the speed of NHWC", flush=True)
    print(f"{len(losses)} choices: geometric mean {geometric_mean(losses):.3f}, worst {max(losses):.3f}")
    if layouts:
        print(
            f"NCHW ÷ NHWC, {len(layouts)} layers of {_FEWEST_TERMS} taps and more: geometric mean "
            f"{geometric_mean(layouts):.3f}, least {min(layouts):.3f}"
        )


def measured(layer: Layer, layout: Layout, within: float, seconds: float) -> list[Measured]:
    """Return the candidates for a layer, that with the model's fewest cycles first, each with its best time.

    Parameters
    ----------
    layer : Layer
    layout : {"NCHW", "NHWC"}
    within : float
        Times the fewest cycles: those with more are left out.
    seconds : float
        Of calls of each of those that are close to the fastest.

    Raises
    ------
    WrongResultError
        If a result is wrong.
    """
    data = make_data(layer, layout, 1)
    keywords = {key: value for key, value in window_options(layer, layout, 1).items() if key != "threads"}
    problem = make_problem(data.image.shape, data.weight.shape, data.image.dtype, data.weight.dtype, **keywords)
    found = every_tile(candidates(problem, host()))
    found = [each for each in found if each[1] <= within * found[0][1]]
    x, out, right = channels_first(data.image, layout), channels_first(data.out, layout), answer(layer)
    calls = {}
    for i, (decision, _) in enumerate(found):
        call = partial(PreparedLayer(DecidedLayer(problem, decision, 1), data.weight, None), x, out)
        data.out.fill(float("nan"))
        call()
        complaint = data.complaint(data.out, right)
        if complaint is not None:
            raise WrongResultError(f"{layer.name} {layout}, {decision.way}: {complaint}")
        calls[str(i)] = partial(cpu_seconds, call)
    times = take_turns(calls, _FIRST_TURNS, 0.0)
    limit = _STRAY * min(map(min, times.values()))
    close = {name: call for name, call in calls.items() if name == "0" or min(times[name]) <= limit}
    for name, more in take_turns(close, 1000, seconds).items():
        times[name] += more
    return [Measured(decision.way, cycles, min(times[str(i)])) for i, (decision, cycles) in enumerate(found)]
