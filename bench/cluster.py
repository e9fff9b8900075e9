"""Images in a Zarr store through a bank of filters to another, on dask's own cluster: its time and its memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from examples.cluster_demo import BANK, PADDED, as_bytes, differences, make_image, peak_memory

from im2col.integrations import dask as chunks

from .contestants import WrongResultError
from .processes import usable_cpus
from .tables import machine, table

if TYPE_CHECKING:
    import argparse

HELP = "Filter images on dask's own cluster, with one process and with several, and measure its scheduler."
LEGEND = (
    "A square image of bytes in a Zarr store, in chunks of {0}², through four filters of 5×5 to bytes in another "
    "store; processes of one thread each, and the most that any of them had at a time."
)
_EMPTY_TASKS = 5000
"""Tasks that do nothing, by which the scheduler is measured."""


class Taken(NamedTuple):
    """The pixels of an image's side, the processes, and what a run took: seconds, and the most bytes of a process."""

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
        If pixels differ from those of the image in this process.
    """
    most = len(usable_cpus())
    counts = [int(each) for each in options.processes.split(",")]
    if not all(1 <= each <= most for each in counts):
        raise SystemExit(f"this process may use 1 to {most} CPUs")
    print(f"{machine()}, each process {options.memory}\n{LEGEND.format(options.chunk)}\n")
    found = []
    for n in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "image.zarr", Path(folder) / "filtered.zarr"
            make_image(source, n, options.chunk)
            for count in counts:
                found.append(_measured(source, target, count, options.memory))
                wrong = differences(source, target)
                if wrong:
                    raise WrongResultError(f"{n}²: {wrong} pixels differ from those of the image in this process")
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
    return len(BANK) * taken.pixels**2 / taken.seconds / 1e6


def _filtered(image: Any) -> Any:
    """Return the lazy result of a lazy image."""
    return chunks.conv(image, BANK, **PADDED).map_blocks(as_bytes, dtype=np.uint8)


def _measured(source: Path, target: Path, processes: int, memory: str) -> Taken:
    """Return what a run took; one over a corner comes before it, in which kernels are loaded."""
    import dask.array as da
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=processes, threads_per_worker=1, memory_limit=memory, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        image = da.from_zarr(str(source))
        _filtered(image[:, :2000, :2000]).sum().compute()
        start = time.perf_counter()
        _filtered(image).to_zarr(str(target), overwrite=True)
        seconds = time.perf_counter() - start
        peak = max(peak for _, peak in client.run(peak_memory).values())
        return Taken(image.shape[-1], processes, seconds, peak)


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
            panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
            panel.legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
