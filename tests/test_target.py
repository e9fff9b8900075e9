"""The CPU that kernels are compiled for: what llvmlite says, and what the system's files say."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from im2col.engine import target
from im2col.engine.pace import HASWELL, NEOVERSE_N, ZEN_5, pace_of
from im2col.engine.target import NAMED, Target
from im2col.errors import ArgumentError

from .kit.outcomes import raises_exactly, require
from .kit.processes import HANG_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

TYPICAL = (32 << 10, 1 << 20, 8 << 20)
detect = inspect.unwrap(target.host)
"""`host` without its memory."""


class Flags(dict[str, bool]):
    """What llvmlite returns for the features of a CPU."""

    def flatten(self) -> str:
        return ",".join(f"+{name}" for name, there in self.items() if there)


@pytest.fixture
def llvm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets llvmlite report a CPU."""
    binding = require("llvmlite.binding")
    monkeypatch.delenv("IM2COL_TARGET", raising=False)

    def report(triple: str, *flags: str, cpu: str = "some-cpu") -> None:
        monkeypatch.setattr(binding, "get_host_cpu_features", lambda: Flags(dict.fromkeys(flags, True)))
        monkeypatch.setattr(binding, "get_process_triple", lambda: triple)
        monkeypatch.setattr(binding, "get_host_cpu_name", lambda: cpu)
        monkeypatch.setattr(target, "host_caches", lambda: (1, 2, 3))

    return report


AVX512 = ("avx2", "avx512f", "avx512bw", "avx512vl")


@pytest.mark.parametrize(
    ("triple", "flags", "vector_bytes", "registers"),
    [
        ("x86_64-unknown-linux-gnu", AVX512, 64, 32),
        ("x86_64-unknown-linux-gnu", ("avx2", "avx512f"), 32, 16),
        ("x86_64-unknown-linux-gnu", ("avx2", "avx512f", "avx512bw"), 32, 16),
        ("x86_64-unknown-linux-gnu", ("avx2", "fma"), 32, 16),
        ("x86_64-unknown-linux-gnu", ("avx", "sse2"), 16, 16),
        ("x86_64-unknown-linux-gnu", (), 16, 16),
        ("aarch64-unknown-linux-gnu", ("neon",), 16, 32),
        ("arm64-apple-darwin24.0.0", ("neon", "sve"), 16, 32),
    ],
)
def test_the_widest_vectors(llvm: Any, triple: str, flags: tuple[str, ...], vector_bytes: int, registers: int) -> None:
    """AVX-512 counts with byte elements and short vectors only; then AVX2, then 16 bytes everywhere."""
    llvm(triple, *flags)
    features = ",".join(f"+{name}" for name in flags)
    plain = HASWELL if triple.startswith("x86") else NEOVERSE_N
    pace = plain._replace(family=f"not known, taken for {plain.family}")
    assert detect() == Target(triple, "some-cpu", features, vector_bytes, registers, (1, 2, 3), pace)


def test_this_machine() -> None:
    """The host is detected once, is hashable, and its numbers make sense."""
    require("llvmlite")
    here = target.host()
    assert target.host() is here
    assert hash(here) == hash(detect())
    assert (here.vector_bytes, here.vector_registers) in {(64, 32), (32, 16), (16, 16), (16, 32)}
    assert all(size > 0 for size in here.caches)


HASWELL_FLAGS = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sse2")
SKYLAKE = (*HASWELL_FLAGS, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
ZEN4 = (*SKYLAKE, *(f"avx512{name}" for name in ("bf16", "bitalg", "ifma", "vbmi", "vbmi2", "vnni", "vpopcntdq")))
LINUX, DARWIN = "x86_64-unknown-linux-gnu", "arm64-apple-darwin24.0.0"
ABLE = [
    (LINUX, (*ZEN4, "gfni", "sse4a"), "avx512, zen4, avx2, zen3, sse2"),
    (LINUX, (*ZEN4, "gfni", "sse4a", "avxvnni"), "avx512, zen4, avxvnni, avx2, zen3, sse2"),
    (LINUX, ZEN4, "avx512, avx2, sse2"),
    (LINUX, SKYLAKE, "avx512, avx2, sse2"),
    (LINUX, HASWELL_FLAGS, "avx2, sse2"),
    (LINUX, tuple(name for name in HASWELL_FLAGS if name != "fma"), "sse2"),
    (DARWIN, ("neon",), "neon"),
]


@pytest.mark.parametrize(("triple", "flags", "able"), ABLE)
@pytest.mark.parametrize("name", [*NAMED, "avx-512", "AVX2", " "])
def test_a_target_by_name(
    llvm: Any, monkeypatch: pytest.MonkeyPatch, triple: str, flags: tuple[str, ...], able: str, name: str
) -> None:
    """The environment chooses one whose instructions the CPU has, with its system, caches and pace; nothing else."""
    llvm(triple, *flags, cpu="znver5")
    monkeypatch.setenv("IM2COL_TARGET", name)
    if name in able.split(", "):
        assert detect() == NAMED[name]._replace(triple=triple, caches=(1, 2, 3), pace=ZEN_5)
        return
    message = (
        "the environment variable IM2COL_TARGET must be empty or name a CPU whose instructions this one has, of "
        f"{able}; got {name!r}"
    )
    with raises_exactly(ArgumentError, message):
        detect()


def test_no_target_by_name(llvm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    llvm(LINUX, *AVX512)
    found = detect()
    monkeypatch.setenv("IM2COL_TARGET", "")
    assert detect() == found


CALLS = """
import sys
import numpy as np
import im2col
from im2col.engine.target import NAMED, host
x, w = np.ones((1, 2, 9, 9), np.float32), np.ones((3, 2, 3, 3), np.float32)
try:
    plan = im2col.plan(x.shape, w)
    assert (plan(x) == 18).all() and im2col.im2col(np.ones((1, 64, 64, 64)), 3).sum() == 62 * 62 * 576
    here = NAMED[sys.argv[1]]
    assert host()[1:5] == here[1:5]
    found = im2col.show_config()["target"]
    assert (found["named"], found["cpu"], found["vector_bytes"]) == (sys.argv[1], here.cpu, here.vector_bytes)
    assert "zmm" not in plan.assembly() and ("ymm" in plan.assembly()) == (sys.argv[1] == "avx2")
except im2col.Im2colError as error:
    print(type(error).__name__, error)
"""


def in_a_process(name: str) -> str:
    """Return what the calls print in a process of its own that is told to use a target."""
    command = [sys.executable, "-W", "error", "-c", CALLS, name]
    environment = os.environ | {"IM2COL_TARGET": name}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_a_process_for_a_lesser_cpu(name: str) -> None:
    """Its kernels have that CPU's vectors and are right, and the configuration says so."""
    require("llvmlite")
    if target.host().vector_bytes < NAMED[name].vector_bytes or target.host().is_arm:
        pytest.skip("this CPU is not that one")
    assert in_a_process(name) == ""


def test_a_process_for_another_cpu() -> None:
    """A name that does not fit is an error of the first call that makes a kernel, not a reason to go without."""
    require("llvmlite")
    name = "sse2" if target.host().is_arm else "neon"
    said = "ArgumentError plan: the environment variable IM2COL_TARGET must be empty or name a CPU whose instructions"
    assert in_a_process(name).startswith(said)


def test_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing llvmlite is the caller's to handle."""
    monkeypatch.setitem(__import__("sys").modules, "llvmlite.binding", None)
    with pytest.raises(ImportError, match="llvmlite"):
        detect()


def test_named_targets() -> None:
    """Those that tests look at have the vectors of their name, and typical caches."""
    sizes = {name: (t.vector_bytes, t.vector_registers) for name, t in NAMED.items()}
    assert sizes == {"avx512": (64, 32), "avx2": (32, 16), "sse2": (16, 16), "neon": (16, 32)} | {
        "zen4": (64, 32),
        "zen3": (32, 16),
        "avxvnni": (32, 16),
    }
    assert {t.caches for t in NAMED.values()} == {TYPICAL}
    assert {name: t.pace.family for name, t in NAMED.items()} == {
        "avx512": "Skylake-X and later",
        "zen4": "Zen 4",
        "zen3": "Zen 3",
        "avxvnni": "Haswell to Alder Lake",
        "avx2": "Haswell to Alder Lake",
        "sse2": "Haswell to Alder Lake",
        "neon": "Neoverse N",
    }


@pytest.mark.parametrize(
    ("cpu", "family"),
    [
        *[(f"znver{n}", f"Zen {n}") for n in (2, 3, 4, 5)],
        ("znver1", "Zen"),
        ("skylake", "Haswell to Alder Lake"),
        ("skylake-avx512", "Skylake-X and later"),
        ("sapphirerapids", "Skylake-X and later"),
        ("raptorlake", "Haswell to Alder Lake"),
        ("neoverse-n1", "Neoverse N"),
        ("neoverse-v2", "Neoverse V"),
        ("apple-m1", "Apple"),
    ],
)
def test_families_of_cpus(cpu: str, family: str) -> None:
    """LLVM's names of CPUs, and that a longer vector is never handled faster than a shorter one."""
    pace = pace_of(cpu, arm=not cpu.startswith(("z", "s", "r")))
    assert pace.family == family
    for cycles in (pace.arithmetic, pace.load, pace.broadcast, pace.store):
        assert 0 < cycles[0] <= cycles[1] <= cycles[2] <= 4 * cycles[0]
    assert pace.latency >= 4


def cache_folder(path: Path, *caches: tuple[str, str, str]) -> None:
    """Write the files that Linux has for caches: level, type and size of each."""
    for i, values in enumerate(caches):
        folder = path / f"index{i}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size"), values, strict=True):
            (folder / name).write_text(value + "\n")
    (path / "uevent").write_text("")


L1, L2, L3 = ("1", "Data", "48K"), ("2", "Unified", "2048K"), ("3", "Unified", "36M")


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ([L1, ("1", "Instruction", "64K"), L2, L3], (48 << 10, 2 << 20, 36 << 20)),
        ([("1", "Instruction", "64K"), L3, L2, L1], (48 << 10, 2 << 20, 36 << 20)),
        ([L1, L2], (48 << 10, 2 << 20, 2 << 20)),
        ([L1, L2, L3, ("4", "Unified", "1G")], (48 << 10, 2 << 20, 1 << 30)),
        ([("1", "Unified", "32768"), ("2", "Unified", "1M")], (32 << 10, 1 << 20, 1 << 20)),
    ],
    ids=["usual", "any order", "two levels", "four levels", "plain bytes"],
)
def test_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caches: Any, expected: tuple[int, int, int]) -> None:
    """The data cache of the first level, the second level, and the last one."""
    cache_folder(tmp_path, *caches)
    monkeypatch.setattr(target, "_CACHE_FOLDER", tmp_path)
    assert target.host_caches() == expected


@pytest.mark.parametrize(
    "caches",
    [
        [],
        [L1],
        [L2, L3],
        [("1", "Instruction", "32K"), L2],
        [("one", "Data", "32K"), L2],
        [("1", "Data", "unknown"), L2],
        [("1", "Data", ""), L2],
        [("1", "Data", "32 K"), L2],
    ],
    ids=["none", "no second", "no first", "no data", "no number", "no size", "empty", "spaced"],
)
def test_caches_that_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caches: Any) -> None:
    """Where the files are missing or say something else, typical sizes are assumed."""
    cache_folder(tmp_path, *caches)
    monkeypatch.setattr(target, "_CACHE_FOLDER", tmp_path)
    assert target.host_caches() == TYPICAL


def test_caches_without_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder, an unreadable file, and bytes that are no text are no errors."""
    monkeypatch.setattr(target, "_CACHE_FOLDER", tmp_path / "missing")
    assert target.host_caches() == TYPICAL
    monkeypatch.setattr(target, "_CACHE_FOLDER", tmp_path)
    cache_folder(tmp_path, L1, L2)
    assert target.host_caches() == (48 << 10, 2 << 20, 2 << 20)
    (tmp_path / "index0" / "size").write_bytes(b"\xff\xfe")
    assert target.host_caches() == TYPICAL
    (tmp_path / "index0" / "size").unlink()
    assert target.host_caches() == TYPICAL
