"""One process a contestant; layer by layer, every result is checked, then all take turns."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..clock import Timed, take_turns
from ..contestants import WrongResultError
from ..processes import fresh_process
from . import seat
from .problems import answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..processes import Ask
    from .contestant import Convolver
    from .layers import Layer

_PATIENCE = 10
"""A contestant that is very slow at a layer is not asked for 5 turns, but leaves after so many times a cell's time."""


@dataclass(frozen=True)
class Measurement(Timed):
    """One cell: how long each call of a contestant took."""

    threads: int
    layer: Layer
    contestant: str
    seconds: tuple[float, ...]

    @property
    def best_speed(self) -> float:
        """GFLOP/s of the fastest call, by the operations that the layer has in name."""
        return self.layer.flops / self.best / 1e9

    @property
    def median_speed(self) -> float:
        """GFLOP/s of the median call."""
        return self.layer.flops / self.median / 1e9


def measure(
    layers: Sequence[Layer], contestants: Sequence[Convolver], threads: int, repeats: int, seconds: float
) -> list[Measurement]:
    """Measure contestants on layers.

    Parameters
    ----------
    layers : sequence of Layer
    contestants : sequence of Convolver
        All installed.
    threads : int
    repeats, seconds
        The budget of a cell, see `take_turns`.

    Returns
    -------
    list of Measurement
        A layer that a contestant does not offer is left out.

    Raises
    ------
    WrongResultError
        Before any time is taken of the layer in question.
    """
    measurements = []
    with ExitStack() as stack:
        processes = {c: stack.enter_context(fresh_process(threads)) for c in contestants}
        for layer in layers:
            print(f"threads {threads}: {layer.name}, {layer.flops / 1e6:.1f} MFLOP", file=sys.stderr)
            ready = _checked(layer, processes, threads)
            turns = {c.name: partial(processes[c], seat.turn) for c in ready}
            for name, times in take_turns(turns, repeats, seconds, most_seconds=_PATIENCE * seconds).items():
                measurements.append(Measurement(threads, layer, name, tuple(times)))
    return measurements


def _checked(layer: Layer, processes: Mapping[Convolver, Ask], threads: int) -> list[Convolver]:
    """Prepare each contestant and check its result; return those that offer the layer."""
    ready = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "answer.npy")
        np.save(path, answer(layer))
        for contestant, ask in processes.items():
            try:
                wrong = ask(partial(seat.prepare, contestant, layer, threads, path))
            except Exception as error:
                error.add_note(f"{contestant.name} at {layer.name}")
                raise
            if wrong:
                raise WrongResultError(f"{contestant.name}: wrong result of {layer.name}: {wrong}")
            if ask(seat.is_ready):
                ready.append(contestant)
    return ready
