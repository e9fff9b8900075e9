"""The contest of photographs: its options, and what it prints."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..contestants import WrongResultError
from ..options import matches
from ..processes import usable_cpus
from ..tables import NOTHING, machine, table
from . import contestants
from .jobs import Contestant, Job, complaint, make_kernel, write_photograph

if TYPE_CHECKING:
    import argparse

HELP = "Compare im2col filter with libvips, ImageMagick, OpenCV and SciPy, from file to file, in time and memory."
LEGEND = (
    "A process of each, from its start to its end: of several runs, in turns, the least seconds, on the clock and of "
    "the processors, and the most memory that was resident. Peers that write floating point write four times the bytes."
)
_LAUNCH = """
import json, os, subprocess, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, json.loads(sys.argv[1]))
start = time.perf_counter()
child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
words = child.stderr.read()
_, status, used = os.wait4(child.pid, 0)
seconds = time.perf_counter() - start
told = [seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, status, words.decode(errors="replace")[-300:]]
print(json.dumps(told))
"""
"""What starts a program: a small process, since a child's peak is at least what its parent had."""


class Run(NamedTuple):
    """What a process took.

    Parameters
    ----------
    seconds, cpu_seconds : float
    peak : int
        Bytes.
    """

    seconds: float
    cpu_seconds: float
    peak: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the contest's options."""
    parser.add_argument("--sides", default="4000,10000", help="of photographs, with commas, such as 30000")
    parser.add_argument("--sizes", default="5", help="of kernels, odd numbers, with commas")
    parser.add_argument("--channels", default="3", help="1, 3 or 1,3")
    parser.add_argument("--formats", default="tif", help="tif, png or tif,png, of source and target")
    parser.add_argument("--contestants", default="*", help="only those whose name matches, such as 'im2col*,vips*'")
    parser.add_argument(
        "--threads", type=int, default=1, help="how many may work; the process is pinned to as many CPUs"
    )
    parser.add_argument("--runs", type=int, default=3, help="of each")
    parser.add_argument("--timeout", type=float, default=120, help="seconds after which a run is given up")


def run(options: argparse.Namespace) -> None:
    """Check, measure and print.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` declares them.

    Raises
    ------
    WrongResultError
        If a contestant's result is wrong.
    """
    found = [c for c in _contestants() if matches(options.contestants, c.name)]
    if not found:
        raise SystemExit(f"no contestant matches {options.contestants!r}")
    entered = [c for c in found if c.version() is not None]
    print(machine())
    print("; ".join(dict.fromkeys(c.version() or f"{c.name}: not installed" for c in found)))
    print(f"{LEGEND}\n\nthreads: {options.threads}\n")
    sides, sizes, channels = (
        [int(n) for n in text.split(",")] for text in (options.sides, options.sizes, options.channels)
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            for count in channels:
                for ending in options.formats.split(","):
                    source = Path(folder) / f"source.{ending}"
                    write_photograph(source, side, count)
                    for size in sizes:
                        target = source.with_name(f"target.{ending}")
                        job = Job(source, target, side, count, make_kernel(size), options.threads)
                        rows += measure(job, entered, options.runs, options.timeout)
    print(table(["photograph", "program", "seconds", "CPU seconds", "peak MB"], rows))


def measure(job: Job, entered: list[Contestant], runs: int, timeout: float) -> list[list[str]]:
    """Return a row of the table for each contestant, of which each does a job in turn.

    Raises
    ------
    WrongResultError
        If a result is wrong.
    """
    job.write_kernel()
    told: dict[str, str] = {}
    taken: dict[str, list[Run]] = {contestant.name: [] for contestant in entered}
    for turn in range(runs + 1):  # the first one compiles, and warms the files
        for contestant in entered:
            if contestant.name in told:
                continue
            job.target.unlink(missing_ok=True)
            result = _run(contestant, job, timeout)
            if isinstance(result, str):
                told[contestant.name] = result
                continue
            wrong = complaint(job, contestant.off) if turn == 0 else None
            if wrong:
                raise WrongResultError(f"{contestant.name}: wrong result of {job.name}: {wrong}")
            if turn or runs == 0:
                taken[contestant.name].append(result)
    rows = []
    for contestant in entered:
        turns = taken[contestant.name]
        cells = [told.get(contestant.name, NOTHING), NOTHING, NOTHING]
        if turns:
            seconds, cpu = min(t.seconds for t in turns), min(t.cpu_seconds for t in turns)
            cells = [f"{seconds:.2f}", f"{cpu:.2f}", f"{max(t.peak for t in turns) / 1e6:.0f}"]
        rows.append([job.name, contestant.name, *cells])
    return rows


def _run(contestant: Contestant, job: Job, timeout: float) -> Run | str:
    """Return what a contestant took for a job, or why it did not do it."""
    cpus = usable_cpus()[-job.threads :]
    command = [sys.executable, "-c", _LAUNCH, json.dumps(cpus), *contestant.arguments(job)]
    environment = os.environ | {"OMP_NUM_THREADS": str(job.threads)} | dict(contestant.environment(job))

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True) as child:
        try:
            told, _ = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            return f"> {timeout:.0f}"
    seconds, cpu, peak, status, words = json.loads(told)
    if status:
        lines = words.replace(f"{job.source.parent}{os.sep}", "").strip().splitlines()
        return f"failed: {lines[-1][:60] if lines else status}"
    return Run(seconds, cpu, peak)


def _contestants() -> list[Contestant]:
    """Return all, in the order of their files' names; ours is the first."""
    names = [module.name for module in pkgutil.iter_modules(contestants.__path__)]
    found = [importlib.import_module(f"{contestants.__name__}.{name}").CONTESTANT for name in names]
    return sorted(found, key=lambda contestant: not contestant.name.startswith("im2col"))
