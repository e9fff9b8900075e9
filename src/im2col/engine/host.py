"""What this process may really use of its host: CPUs and memory, under affinity masks and cgroup limits."""

from __future__ import annotations

import math
import os
import sys
import time
from functools import cache
from typing import TYPE_CHECKING

from ..errors import MemoryBudgetError, format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_CGROUP_ROOT = "/sys/fs/cgroup"
_PROC = "/proc"
_ALWAYS_FITS = 16 << 20
"""Bytes below which no budget is asked for: reading it takes longer than filling them."""
_FRESH_SECONDS = 0.05
"""How long an answer holds for what takes little of it."""
_LITTLE = 8
"""What share of an answer all that is let through by it may take together: an eighth."""
_answer = (-math.inf, 0.0)
"""Until when the latest answer holds, and how many bytes more it lets through."""


def usable_cpus() -> int:
    """Return how many CPUs this process may use: its affinity mask, cut by a cgroup's quota.

    Returns
    -------
    int
        At least 1. A quota of 2.5 CPUs counts as 3: two would leave half a CPU idle.
    """
    if sys.platform in {"emscripten", "wasi"}:  # Python starts no threads in WebAssembly, however many CPUs there are
        return 1
    # macOS and Windows have no affinity mask.
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cpus, _cgroup_cpu_quota())))


def available_memory() -> int | None:
    """Return how many bytes this process can still allocate, or None where the host does not say.

    Returns
    -------
    int or None
        The kernel's estimate of available memory, cut by the tightest cgroup limit above the process, and by the limit
        of its address space.
    """
    rooms = [room for room in (_meminfo_available(), _address_space_room()) if room is not None]
    return _cgroup_memory_room(min(rooms, default=None))


def require_memory(nbytes: int, way_out: str, what: str, *details: object, beside: int = 0) -> None:
    """Raise before an allocation that cannot succeed, instead of letting the kernel kill the process.

    Parameters
    ----------
    nbytes : int
        Size of the allocation.
    way_out : str
        What to do instead.
    what : str
        The array; a template that ``str.format`` fills with `details`, which only an error needs.
    *details : object
        Its shape and dtype, say.
    beside : int
        Bytes of smaller arrays that are needed at the same time.

    Raises
    ------
    MemoryBudgetError
        If all of it is more than `available_memory`.

    Notes
    -----
    To ask the system takes as long as to fill a megabyte. Its answer holds for some milliseconds, for whatever takes no
    more than an eighth of it in all; the rest is left for other programs.
    """
    global _answer  # noqa: PLW0603 (of the process; whoever overwrites another thread's answer has a newer one)
    wanted = nbytes + beside
    if wanted <= _ALWAYS_FITS:
        return
    now, (until, left) = time.monotonic(), _answer
    if now < until and wanted <= left:
        _answer = until, left - wanted
        return
    available = available_memory()
    _answer = now + _FRESH_SECONDS, (math.inf if available is None else available) / _LITTLE - wanted
    if available is not None and wanted > available:
        more = f", and {format_bytes(beside)} more beside it," if beside else ""
        raise MemoryBudgetError(
            f"{what.format(*details)} would take {format_bytes(nbytes)}{more} but {format_bytes(available)} are "
            f"available; {way_out}"
        )


def array_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Return how many bytes an array takes, for `require_memory`.

    An empty one takes none, but NumPy describes none whose other axes would pass the address space: it counts as if
    those of length 0 had length 1.

    Examples
    --------
    >>> array_bytes((2, 3), 4), array_bytes((0, 3), 4), array_bytes((0, 1 << 62), 4) == 1 << 64
    (24, 0, True)
    """
    nbytes = math.prod(shape) * itemsize
    if nbytes:
        return nbytes
    others = math.prod(filter(None, shape)) * itemsize
    return others if others > sys.maxsize else 0


def _read(path: str) -> str | None:
    try:
        with open(path) as file:  # noqa: PTH123 (pathlib takes longer to import than half of this package)
            return file.read().strip()
    except OSError:
        return None


def _cgroup_folders(controller: str) -> list[str]:
    """Folders of this process's cgroup and its ancestors: version 2, then version 1's for `controller`."""
    folders = []
    for line in (_read(f"{_PROC}/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root = _CGROUP_ROOT
        elif controller in controllers.split(","):
            root = f"{_CGROUP_ROOT}/{controller}"
        else:
            continue
        names = [name for name in path.split("/") if name]
        folders += ["/".join((root, *names[:depth])) for depth in range(len(names), -1, -1)]
    return folders or [_CGROUP_ROOT]


@cache
def _cgroup_cpu_quota() -> float:
    """CPUs that the tightest quota allows; infinity without one. Read once: every call of the library asks."""
    quota = math.inf
    for folder in _cgroup_folders("cpu"):
        limit = _read(f"{folder}/cpu.max")
        if limit is None:
            microseconds, period = _read(f"{folder}/cpu.cfs_quota_us"), _read(f"{folder}/cpu.cfs_period_us")
            limit = f"{microseconds} {period}" if microseconds and period else "max 1"
        allowed, _, period = limit.partition(" ")
        if allowed not in ("max", "-1"):
            quota = min(quota, int(allowed) / int(period))
    return quota


def _cgroup_memory_room(least: int | None) -> int | None:
    """Bytes left below the tightest limit, if that is less than `least`. Clean page cache counts as room."""
    for folder in _cgroup_folders("memory"):
        for limit_name, usage_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _read(f"{folder}/{limit_name}")
            usage = None if limit is None or limit == "max" else _read(f"{folder}/{usage_name}")
            if limit is None or usage is None:
                continue
            room = max(0, int(limit) - int(usage))
            if least is None or room < least:  # else the cache, which takes longest to read, changes nothing
                stat = dict(line.split() for line in (_read(f"{folder}/memory.stat") or "").splitlines())
                room = max(0, int(limit) - int(usage) + int(stat.get(cache_name, 0)))
                least = room if least is None else min(least, room)
    return least


def _address_space_room() -> int | None:
    """Bytes left below the limit that ``ulimit -v`` sets; None without one."""
    for line in (_read(f"{_PROC}/self/limits") or "").splitlines():
        if line.startswith("Max address space") and "unlimited" not in line.split()[3]:
            pages = (_read(f"{_PROC}/self/statm") or "0").split()[0]
            return max(0, int(line.split()[3]) - int(pages) * os.sysconf("SC_PAGE_SIZE"))
    return None


def _meminfo_available() -> int | None:
    for line in (_read(f"{_PROC}/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    if sys.platform == "darwin":  # pragma: no cover (no MemAvailable there; half of the memory is a fair guess)
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return None
