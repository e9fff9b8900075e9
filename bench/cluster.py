"""Images in a Zarr store through a bank of filters to another, on dask's own cluster: its time and its memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from im2col import conv
from im2col.integrations import dask as chunks

from .contestants import WrongResultError
from .processes import usable_cpus
from .tables import machine, table

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

HELP = "Filter images on dask's own cluster, with one process and with several, and measure its scheduler."
LEGEND = (
    "A square image of bytes in a Zarr store, in chunks of {0}², through four filters of 5×5 to bytes in another "
    "store; processes of one thread each, and the most that any of them had at a time."
)
_EMPTY_TASKS = 5000
"""Tasks that do nothing, by which the scheduler is measured."""


class Taken(NamedTuple):
    """What a run took: seconds on the clock, and the most bytes of any process."""

    pixels: int
    processes: int
    seconds: float
    peak: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--sizes", default="4000,8000,16000", help="pixels of a side, with commas between them")
    parser.add_argument("--processes", default="1,2", help="how many, with commas between them")
    parser.add_argument("--chunk", type=int, default=1000, help="pixels of a chunk's side")
    parser.add_argument("--memory", default="380MB", help="that each process may have")
    parser.add_argument("--chart", type=Path, help="an SVG file to draw it into")


def run(options: argparse.Namespace) -> None:
    """Check, measure, print and draw.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If pixels differ from those of the whole image.
    """
    most = len(usable_cpus())
    counts = [int(each) for each in options.processes.split(",")]
    if not all(1 <= each <= most for each in counts):
        raise SystemExit(f"this process may use 1 to {most} CPUs")
    print(f"{machine()}, each process {options.memory}\n{LEGEND.format(options.chunk)}\n")
    found = []
    for n in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            _make(Path(folder), n, options.chunk)
            for count in counts:
                found.append(_measured(Path(folder), n, count, options.memory))
                _check(Path(folder), n, options.chunk)
    rows = [
        [f"{each.pixels}²", str(each.processes), f"{each.seconds:.1f}", f"{_rate(each):.0f}", f"{each.peak / 1e6:.0f}"]
        for each in found
    ]
    print(table(["image", "processes", "seconds", "results, 10⁶/s", "peak, MB"], rows))
    print(f"\nthe scheduler: {_empty_tasks():.0f} tasks a second that do nothing; {_tasks_a_chunk():.0f} tasks a chunk")
    if options.chart is not None:
        _draw(found, options.chart)


def _rate(taken: Taken) -> float:
    """Return how many million numbers of the result are made in a second."""
    return len(_bank()) * taken.pixels**2 / taken.seconds / 1e6


def _bank() -> NDArray[np.float32]:
    """Return a Gaussian, two slopes and a sharpened image: (4, 1, 5, 5)."""
    line, slope = np.array([1, 4, 6, 4, 1], np.float32), np.array([-1, -2, 0, 2, 1], np.float32)
    smooth = np.outer(line, line) / 256
    sharp = -smooth
    sharp[2, 2] += 2
    return np.stack([smooth, np.outer(line, slope) / 32, np.outer(slope, line) / 32, sharp])[:, None].astype(np.float32)


def _bytes(filtered: NDArray[np.float32]) -> NDArray[np.uint8]:
    np.rint(filtered, out=filtered)
    return np.clip(filtered, 0, 255, out=filtered).astype(np.uint8)


def _filtered(image: Any) -> Any:
    """Return the lazy result of a lazy image."""
    result = chunks.conv(image, _bank(), padding="same", padding_mode="reflect")
    return result.map_blocks(_bytes, dtype=np.uint8)


def _make(folder: Path, n: int, chunk: int) -> None:
    """Write an image of noise."""
    import dask.array as da

    noise = da.random.default_rng(1).integers(0, 256, (1, n, n), np.uint8, chunks=(1, chunk, chunk))
    noise.to_zarr(str(folder / "image.zarr"))


def _measured(folder: Path, n: int, processes: int, memory: str) -> Taken:
    """Return what a run took; one over a corner comes before it, in which kernels are loaded."""
    import dask.array as da
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=processes, threads_per_worker=1, memory_limit=memory, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        image = da.from_zarr(str(folder / "image.zarr"))
        _filtered(image[:, :2000, :2000]).sum().compute()
        start = time.perf_counter()
        _filtered(image).to_zarr(str(folder / "filtered.zarr"), overwrite=True)
        seconds = time.perf_counter() - start
        return Taken(n, processes, seconds, max(client.run(_peak).values()))


def _peak() -> int:
    """Return the most bytes that this process had at a time."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def _check(folder: Path, n: int, chunk: int) -> None:
    """Compare the rows around the edge between two rows of chunks with those of the image in memory."""
    import zarr

    image, result = (zarr.open_array(str(folder / name), mode="r") for name in ("image.zarr", "filtered.zarr"))
    first, stop = max(0, chunk - 50), min(n, chunk + 50)
    low, high = max(0, first - 2), min(n, stop + 2)
    part = conv(np.asarray(image[:, low:high]), _bank(), padding="same", padding_mode="reflect", chunked=True)
    if (_bytes(part)[:, first - low : stop - low] != result[:, first:stop]).any():
        raise WrongResultError(f"{n}²: pixels differ from those of the whole image")


def _empty_tasks() -> float:
    """Return how many tasks that do nothing one process gets done in a second."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(abs, range(100), pure=False))
        start = time.perf_counter()
        client.gather(client.map(abs, range(_EMPTY_TASKS), pure=False))
        return _EMPTY_TASKS / (time.perf_counter() - start)


def _tasks_a_chunk() -> float:
    """Return how many tasks a chunk of the image comes to, once dask has joined what it can."""
    import dask
    import dask.array as da

    (graph,) = dask.optimize(_filtered(da.zeros((1, 20_000, 20_000), np.uint8, chunks=(1, 1000, 1000))))
    return len(dict(graph.__dask_graph__())) / 400


def _draw(found: list[Taken], path: Path) -> None:
    """Draw how fast it is against the processes, and their memory against the image, into an SVG file."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    style = {"svg.hashsalt": "im2col", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context(style):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained")
        for n in dict.fromkeys(each.pixels for each in found):
            own = [each for each in found if each.pixels == n]
            counts, rates = [each.processes for each in own], [_rate(each) for each in own]
            left.plot(counts, rates, "o-", label=f"{n}²", markersize=3)
        for count in dict.fromkeys(each.processes for each in found):
            own = [each for each in found if each.processes == count]
            sizes, peaks = [each.pixels**2 / 1e6 for each in own], [each.peak / 1e6 for each in own]
            right.plot(sizes, peaks, "o-", label=f"processes: {count}", markersize=3)
        left.set_xlabel("processes")
        left.set_xticks(sorted({each.processes for each in found}))
        left.set_ylabel("results, millions a second")
        right.set_xlabel("image, MB")
        right.set_ylabel("peak of a process, MB")
        for panel in (left, right):
            panel.set_ylim(bottom=0)
            panel.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
