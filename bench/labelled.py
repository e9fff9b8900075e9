"""Windows over labelled arrays: this library's beside xarray's own, and SciPy's over the bare numbers."""

from __future__ import annotations

from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from .clock import cpu_seconds, take_turns
from .contestants import WrongResultError
from .memory import ENVIRONMENT, forget_peak, is_told, peak, resident
from .processes import in_fresh_process
from .tables import NOTHING, machine, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from numpy.typing import NDArray

HELP = "Compare the convolution of a labelled array with xarray's rolling windows: time and memory."
LEGEND = (
    "CPU time of the fastest call, one thread, float32, and the most memory that a call took at once, its result among "
    "it. rolling: x.rolling(y=k, x=k, center=True).construct(…).dot(w), plainly and with optimize=True, as xarray "
    "recommends. scipy: ndimage.correlate of the numbers alone, borders padded."
)
OURS, ROLLING, OPTIMIZED, SCIPY = "im2col", "rolling", "rolling, optimized", "scipy"
SIZES = ((20, 7), (1000, 3), (1000, 7), (1000, 15))
"""Pixels along each axis of the image, and of the kernel."""
_TOLERANCE = 1e-5
"""Of the greatest result."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--repeats", type=int, default=100, help="the most turns of each")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each one's calls; it gets 5 turns all the same")


def run(options: argparse.Namespace) -> None:
    """Check, measure and print.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If a result differs from SciPy's in float64.
    """
    print(f"{machine()}\nxarray {metadata.version('xarray')}, scipy {metadata.version('scipy')}\n{LEGEND}\n")
    rows = []
    for side, size in SIZES:
        times = in_fresh_process(1, partial(timed, side, size, options.repeats, options.seconds))
        for name, seconds in times.items():
            taken = in_fresh_process(1, partial(memory_of, side, size, name), environment=ENVIRONMENT)
            rows.append(
                [
                    f"{size}×{size} over {side}²",
                    name,
                    f"{1e3 * seconds:.2f}",
                    f"{seconds / times[OURS]:.1f}",
                    NOTHING if taken is None else f"{taken / 1e6:.1f}",
                ]
            )
    print(table(["windows", "", "ms", "times ours", "MB"], rows))


def timed(side: int, size: int, repeats: int, seconds: float) -> dict[str, float]:
    """Return the seconds of the fastest call of each, all of them right.

    Raises
    ------
    WrongResultError
    """
    found, answer = calls(side, size)
    for name, call in found.items():
        margin = size // 2
        inner: Any = np.asarray(call())
        if inner.shape == (side, side):
            inner = inner[margin:-margin, margin:-margin]
        if not np.abs(inner - answer).max() <= _TOLERANCE * np.abs(answer).max():
            raise WrongResultError(f"{name}: wrong result of {size}×{size} over {side}²")
    turns = {name: partial(cpu_seconds, call) for name, call in found.items()}
    return {name: min(each) for name, each in take_turns(turns, repeats, seconds).items()}


def memory_of(side: int, size: int, name: str) -> int | None:
    """Return the most bytes that a call takes at once; None where the system does not tell."""
    call = calls(side, size)[0][name]
    call()
    if not is_told():
        return None
    forget_peak()
    before = resident()
    result = call()
    most = peak() - before
    del result
    return most


def calls(side: int, size: int) -> tuple[dict[str, Callable[[], object]], NDArray[np.float64]]:
    """Return what is measured, by name, and the right result of whole windows."""
    import xarray as xr
    from scipy import ndimage

    from im2col.integrations.xarray import conv

    rng = np.random.default_rng(0)
    pixels, kernel = rng.random((side, side), np.float32), rng.random((size, size), np.float32)
    margin = size // 2
    answer: NDArray[np.float64] = ndimage.correlate(pixels.astype(float), kernel.astype(float))
    x = xr.DataArray(pixels, dims=("y", "x"), coords={"y": np.arange(side) * 0.5, "x": np.arange(side) * 0.5})
    w = xr.DataArray(kernel, dims=("ky", "kx"))

    def rolled(**options: Any) -> object:
        windows = x.rolling(y=size, x=size, center=True).construct(y="ky", x="kx")
        return xr.dot(windows, w, **options)

    found: dict[str, Callable[[], object]] = {
        OURS: lambda: conv(x, kernel, dims=("y", "x"), threads=1),
        ROLLING: rolled,
        OPTIMIZED: partial(rolled, optimize=True),
        SCIPY: lambda: ndimage.correlate(pixels, kernel, mode="constant"),
    }
    return found, answer[margin:-margin, margin:-margin]
