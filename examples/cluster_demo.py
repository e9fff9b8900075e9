"""An image larger than a worker's memory, through a bank of filters, on a cluster of processes of which one is killed.

``make cluster-demo`` runs it: a Zarr store of 20,000 × 20,000 bytes goes through four filters of 5×5 to another one, on
dask's own cluster of two processes. On the way one of them is killed; dask starts another, and computes again what went
with it. In the end the whole result is compared, bit for bit, with `im2col.conv` over other chunks in this process.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from im2col import conv
from im2col.integrations import dask as chunks

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE = np.array([1, 4, 6, 4, 1], np.float32)
SLOPE = np.array([-1, -2, 0, 2, 1], np.float32)
SMOOTH = np.outer(LINE, LINE) / 256
SHARP = -SMOOTH
SHARP[2, 2] += 2
BANK = np.stack([SMOOTH, np.outer(LINE, SLOPE) / 32, np.outer(SLOPE, LINE) / 32, SHARP])[:, None]
"""A Gaussian, two slopes, a sharpened image: (filters, 1, 5, 5)."""
PADDED: dict[str, Any] = {"padding": "same", "padding_mode": "reflect"}


def as_bytes(filtered: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return filtered pixels as bytes; they are overwritten, as memory is short."""
    np.rint(filtered, out=filtered)
    return np.clip(filtered, 0, 255, out=filtered).astype(np.uint8)


def peak_memory() -> tuple[int, int]:
    """Return this process, and the most bytes that it had at a time.

    On Linux what `getrusage` tells begins with what the process had that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return os.getpid(), int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def make_image(path: Path, size: int, chunk: int) -> None:
    """Write an image of noise."""
    import dask.array as da

    noise = da.random.default_rng(1).integers(0, 256, (1, size, size), np.uint8, chunks=(1, chunk, chunk))
    noise.to_zarr(str(path))


def filtered(source: Path, target: Path, workers: int, memory: str, *, kill: bool) -> dict[int, int]:
    """Filter one store into another, and return the most bytes that each process had at a time."""
    import dask.array as da
    from distributed import Client, LocalCluster, progress

    peaks: dict[int, int] = {}
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, memory_limit=memory) as cluster,
        Client(cluster) as client,
    ):
        print(f"dashboard: {client.dashboard_link}")
        result = chunks.conv(da.from_zarr(str(source)), BANK, **PADDED).map_blocks(as_bytes, dtype=np.uint8)
        start = time.perf_counter()
        future = client.compute(result.to_zarr(str(target), compute=False))
        if kill:
            threading.Thread(target=_kill_one, args=(client, target, peaks), daemon=True).start()
        progress(future)
        future.result()
        seconds = time.perf_counter() - start
        peaks |= dict(client.run(peak_memory).values())
    pixels = BANK.shape[0] * result.shape[-1] * result.shape[-2]
    print(f"\n{seconds:.1f} s, {pixels / seconds / 1e6:.0f} million pixels a second")
    return peaks


def _kill_one(client: Any, target: Path, peaks: dict[int, int]) -> None:
    """Kill one of the cluster's processes when some of the result is written."""
    while sum(1 for path in target.rglob("*") if path.is_file()) < 20:
        time.sleep(0.2)
    peaks |= dict(client.run(peak_memory).values())
    victim = min(peaks)
    os.kill(victim, signal.SIGKILL)
    print(f"\nkilled process {victim}")


def differences(source: Path, target: Path, rows: int = 1500) -> int:
    """Return in how many pixels the result is another than that of bands of the image, in this process."""
    import zarr

    image, result = (zarr.open_array(str(path), mode="r") for path in (source, target))
    size, wrong = image.shape[-1], 0
    for first in range(0, size, rows):
        low, high = max(0, first - 2), min(size, first + rows + 2)
        band = np.asarray(image[:, low:high])
        # At both ends of the image what pads is reflected; elsewhere it is there.
        last = min(size, first + rows)
        pads = [(0, 0), (low - first + 2, last + 2 - high), (2, 2)]
        exact = as_bytes(conv(np.pad(band, pads, mode="reflect"), BANK, chunked=True))
        wrong += int((exact != result[:, first : first + rows]).sum())
    return wrong


def main(arguments: list[str]) -> int:
    """Run the demonstration; 0 if the result is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=20_000, help="pixels along each side")
    parser.add_argument("--chunk", type=int, default=1000, help="pixels along each side of a chunk")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--memory", default="380MB", help="that each may have")
    parser.add_argument("--keep", action="store_true", help="kill none of them")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "image.zarr", Path(folder) / "filtered.zarr"
        make_image(source, given.size, given.chunk)
        print(f"{given.size}² bytes, {given.size**2 / 1e6:.0f} MB, {given.workers} processes of {given.memory} each")
        peaks = filtered(source, target, given.workers, given.memory, kill=not given.keep)
        for process, nbytes in sorted(peaks.items()):
            print(f"process {process}: at most {nbytes / 1e6:.0f} MB")
        wrong = differences(source, target)
    print(f"{wrong} pixels differ from the image filtered in this process")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
