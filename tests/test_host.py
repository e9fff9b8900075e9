"""What the process may use: CPUs and memory, under affinity masks and made-up cgroups."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest

from im2col.engine import host
from im2col.errors import MemoryBudgetError, format_bytes

from .kit.outcomes import raises_exactly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Files = Mapping[str, str]
HostOf = Callable[[Files, Files], None]

MEMINFO = "MemTotal:       16000000 kB\nMemFree:          900000 kB\nMemAvailable:    8000000 kB\n"
GIB = 1 << 30


@pytest.fixture
def host_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostOf]:
    """Return a function that makes this process believe in the given files of /proc and /sys/fs/cgroup."""
    monkeypatch.setattr(host, "_PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(host, "_CGROUP_ROOT", str(tmp_path / "cgroup"))
    host._cgroup_cpu_quota.cache_clear()

    def make(proc: Files, cgroup: Files) -> None:
        for root, files in (("proc", proc), ("cgroup", cgroup)):
            for name, text in files.items():
                path = tmp_path / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    yield make
    host._cgroup_cpu_quota.cache_clear()


@pytest.fixture
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process an affinity mask of eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.usefixtures("eight_cpus")
@pytest.mark.parametrize(
    ("groups", "cgroup", "cpus"),
    [
        ("0::/\n", {}, 8),
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/job\n", {"job/cpu.max": "200000 100000\n"}, 2),
        ("0::/job\n", {"job/cpu.max": "250000 100000\n"}, 3),
        ("0::/job\n", {"job/cpu.max": "10000 100000\n"}, 1),
        ("0::/job\n", {"job/cpu.max": "9900000 100000\n"}, 8),
        ("0::/slice/job\n", {"slice/cpu.max": "300000 100000\n", "slice/job/cpu.max": "max 100000\n"}, 3),
        ("0::/slice/job\n", {"slice/cpu.max": "300000 100000\n", "slice/job/cpu.max": "400000 100000\n"}, 3),
        ("", {"cpu.max": "500000 100000\n"}, 5),
        (
            "4:memory:/a\n2:cpu,cpuacct:/b\n1:name=systemd:/\n",
            {"cpu/b/cpu.cfs_quota_us": "150000\n", "cpu/b/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_usable_cpus(host_of: HostOf, groups: str, cgroup: Files, cpus: int) -> None:
    """The affinity mask, cut by the tightest quota above the process, in either version of cgroups."""
    host_of({"self/cgroup": groups}, cgroup)
    assert host.usable_cpus() == cpus


@pytest.mark.parametrize(
    ("groups", "cgroup", "available"),
    [
        ("0::/\n", {}, 8_000_000 * 1024),
        ("0::/job\n", {"job/memory.max": "max\n", "job/memory.current": "5\n"}, 8_000_000 * 1024),
        ("0::/job\n", {"job/memory.max": f"{GIB}\n"}, 8_000_000 * 1024),
        ("0::/job\n", {"job/memory.max": f"{GIB}\n", "job/memory.current": f"{GIB // 4}\n"}, GIB * 3 // 4),
        (
            "0::/job\n",
            {
                "job/memory.max": f"{GIB}\n",
                "job/memory.current": f"{GIB // 2}\n",
                "job/memory.stat": f"anon 12\ninactive_file {GIB // 4}\n",
            },
            GIB * 3 // 4,
        ),
        ("0::/job\n", {"job/memory.max": "100\n", "job/memory.current": "300\n"}, 0),
        (
            "0::/slice/job\n",
            {
                "slice/memory.max": f"{GIB}\n",
                "slice/memory.current": "0\n",
                "slice/job/memory.max": f"{2 * GIB}\n",
                "slice/job/memory.current": "0\n",
            },
            GIB,
        ),
        (
            "9:memory:/job\n",
            {
                "memory/job/memory.limit_in_bytes": f"{GIB}\n",
                "memory/job/memory.usage_in_bytes": f"{GIB // 2}\n",
                "memory/job/memory.stat": f"total_inactive_file {GIB // 8}\n",
            },
            GIB * 5 // 8,
        ),
        ("0::/job\n", {"job/memory.max": f"{64 * GIB}\n", "job/memory.current": "0\n"}, 8_000_000 * 1024),
    ],
)
def test_available_memory(host_of: HostOf, groups: str, cgroup: Files, available: int) -> None:
    """The kernel's estimate, cut by the tightest limit; page cache that can go counts as room."""
    host_of({"self/cgroup": groups, "meminfo": MEMINFO}, cgroup)
    assert host.available_memory() == available


def test_available_memory_without_an_estimate(host_of: HostOf) -> None:
    """Where the kernel does not say, the cgroup's limit counts, and without one nothing is known."""
    host_of({"self/cgroup": "0::/\n", "meminfo": "MemTotal: 7 kB\n"}, {})
    assert host.available_memory() is None
    host.require_memory(1 << 60, "do not", "it")
    host_of({}, {"memory.max": "1000\n", "memory.current": "400\n"})
    assert host.available_memory() == 600


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system has no pages to ask for")
@pytest.mark.parametrize(
    ("limit", "pages", "available"),
    [
        ("unlimited", 10, 8_192_000_000),
        ("99999999999999", 10, 8_192_000_000),
        ("5000000000", 10, None),
        ("1000", 10, 0),
    ],
)
def test_a_limit_of_the_address_space_counts(host_of: HostOf, limit: str, pages: int, available: int | None) -> None:
    """What ``ulimit -v`` leaves: less than the kernel's estimate, or nothing."""
    limits = f"Limit           Soft Limit  Hard Limit  Units\nMax address space  {limit}  unlimited  bytes\n"
    host_of({"meminfo": MEMINFO, "self/limits": limits, "self/statm": f"{pages} 1 1 1 0 1 0\n"}, {})
    left = 5_000_000_000 - pages * os.sysconf("SC_PAGE_SIZE")
    assert host.available_memory() == (left if available is None else available)


def test_this_machine_has_cpus_and_memory() -> None:
    """Whatever runs the tests has at least one CPU and some memory."""
    assert 1 <= host.usable_cpus() <= (os.cpu_count() or 1)
    available = host.available_memory()
    assert available is None or available > 0


def test_require_memory_says_what_is_missing(host_of: HostOf) -> None:
    """The error names the operation, the array, its size, what is available and the way out."""
    host_of({"meminfo": "MemAvailable: 1024 kB\n"}, {})
    host.require_memory(16 << 20, "use less", "the matrix")  # small arrays are not worth the question
    message = "the matrix (9, 4) of int8 would take 16.0 MiB but 1.0 MiB are available; use less"
    with raises_exactly(MemoryBudgetError, message):
        host.require_memory((16 << 20) + 1, "use less", "the matrix {} of {}", (9, 4), np.dtype(np.int8))


def test_require_memory_lets_through_what_fits(host_of: HostOf) -> None:
    """Exactly what is available may be taken."""
    host_of({"meminfo": MEMINFO}, {})
    host.require_memory(8_000_000 * 1024, "use less", "the matrix")


def test_an_answer_holds_for_what_takes_little_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """For some milliseconds, until an eighth of it has been let through; a refusal lets nothing through."""
    asked, clock = list[int](), [100.0]

    def available() -> int:
        asked.append(1)
        return 800 << 20

    monkeypatch.setattr(host, "available_memory", available)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host, "_FRESH_SECONDS", 0.05)
    questions = []
    for mebibytes, seconds in ((30, 0), (30, 0.01), (30, 0.01), (30, 0), (20, 0), (17, 0.049), (17, 0.01), (16, 9)):
        clock[0] += seconds
        host.require_memory(mebibytes << 20, "use less", "it")
        questions.append(len(asked))
    # 100 MiB are let through by an answer: 30 + 30 + 30, then 30 + 20 + 17, and 17 more once it is old.
    assert questions == [1, 1, 1, 2, 2, 2, 3, 3]
    for _ in range(2):
        with pytest.raises(MemoryBudgetError):
            host.require_memory(801 << 20, "use less", "it")
    host.require_memory(50 << 20, "use less", "it")
    host.require_memory(50 << 20, "use less", "it")
    assert len(asked) == 6
    host.require_memory(700 << 20, "use less", "it", beside=90 << 20)
    host.require_memory(17 << 20, "use less", "it")
    assert len(asked) == 8


def test_an_answer_that_is_none_holds_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host does not say, it is not asked again at once."""
    asked = list[int]()
    monkeypatch.setattr(host, "available_memory", lambda: asked.append(1))
    monkeypatch.setattr(host, "_FRESH_SECONDS", 60)
    for _ in range(3):
        host.require_memory(1 << 60, "use less", "it")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (64 << 20, "64.0 MiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (1 << 70, "1024.0 EiB"),
    ],
)
def test_format_bytes(nbytes: int, text: str) -> None:
    """Binary units, one decimal."""
    assert format_bytes(nbytes) == text
