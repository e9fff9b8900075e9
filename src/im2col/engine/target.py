"""The CPU that kernels are compiled for: its vectors, registers and caches."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ArgumentError, shown
from ..importing import importing

if TYPE_CHECKING:
    from collections.abc import Mapping

_CACHE_FOLDER = "/sys/devices/system/cpu/cpu0/cache"
_TYPICAL_CACHES = (32 << 10, 1 << 20, 8 << 20)


class Target(NamedTuple):
    """A CPU, as the compiler and the planner see it.

    Parameters
    ----------
    triple, cpu, features : str
        LLVM's words for it.
    vector_bytes : int
        Bytes of the widest vector register.
    vector_registers : int
        How many of them there are.
    caches : tuple of int
        Bytes of the first-level data cache, of the second level, and of the last level.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    caches: tuple[int, int, int] = _TYPICAL_CACHES

    @property
    def is_arm(self) -> bool:
        """Whether its instructions are those of 64-bit ARM."""
        return self.triple.startswith(("aarch64", "arm64"))

    @property
    def register(self) -> str:
        """The letter by which inline assembly asks for a vector register."""
        if self.is_arm:
            return "w"
        return "v" if self.vector_bytes >= 64 else "x"

    def vector_cycles(self, nbytes: int) -> float:
        """Cycles that an operation on a vector of so many bytes takes, where nothing else holds it up.

        Two of them end in a cycle; Zen 4 executes those of 64 bytes as two halves.
        """
        return 1.0 if nbytes >= 64 and self.cpu == "znver4" else 0.5

    def has(self, feature: str) -> bool:
        """Return whether the CPU has a feature that LLVM calls by this name."""
        return f"+{feature}" in self.features.split(",")

    def has_dot(self, dot: str) -> bool:
        """Return whether there is an instruction for a dot product; see `Numbers.dot`."""
        if dot == "u1i1":
            return (self.has("avx512vnni") and self.has("avx512vl")) or self.has("avxvnni")
        if dot == "b2":
            return self.has("avx512bf16") and self.vector_bytes >= 64
        return self.triple.startswith("x86")

    @property
    def has_fma(self) -> bool:
        """Whether a product and a sum are one instruction, rounded once."""
        return self.vector_bytes > 16 or self.is_arm


NAMED = {
    "avx512": Target("x86_64-unknown-linux-gnu", "skylake-avx512", "", 64, 32),
    "zen4": Target("x86_64-unknown-linux-gnu", "znver4", "+avx512vl,+avx512vnni,+avx512bf16", 64, 32),
    "avxvnni": Target("x86_64-unknown-linux-gnu", "alderlake", "+avxvnni", 32, 16),
    "avx2": Target("x86_64-unknown-linux-gnu", "haswell", "", 32, 16),
    "sse2": Target("x86_64-unknown-linux-gnu", "x86-64", "", 16, 16),
    "neon": Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32),
}
"""Targets to compile for anywhere, so that tests can look at kernels for CPUs that are not here.

``IM2COL_TARGET`` names one of them to be taken in the host's place, where the host has all of its instructions.
"""

_AVX2 = "avx2 bmi bmi2 f16c fma lzcnt movbe popcnt"
_AVX512 = f"{_AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"
_EMITTED = {
    "avx512": _AVX512,
    "zen4": f"{_AVX512} avx512bf16 avx512bitalg avx512ifma avx512vbmi avx512vbmi2 avx512vnni avx512vpopcntdq "
    "gfni sse4a",
    "avxvnni": f"{_AVX2} avxvnni gfni",
    "avx2": _AVX2,
    "sse2": "sse2",
    "neon": "neon",
}
"""What LLVM may emit for each of them, of the features that it tells CPUs apart by; without those that are asked for
by name, such as encryption."""


@cache
def host() -> Target:
    """Return the target of this process: its CPU, or a lesser one that ``IM2COL_TARGET`` names, with its caches.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the environment variable ``IM2COL_TARGET`` names no CPU whose instructions this one has.
    ImportError, OSError, RuntimeError
        If llvmlite is missing or broken.
    """
    with importing:
        import llvmlite.binding as llvm

    flags = llvm.get_host_cpu_features()
    triple = llvm.get_process_triple()
    name = os.environ.get("IM2COL_TARGET")
    if name:
        return _named(name, triple, flags)
    if flags.get("avx512f") and flags.get("avx512bw") and flags.get("avx512vl"):
        vector_bytes, registers = 64, 32
    elif flags.get("avx2"):
        vector_bytes, registers = 32, 16
    else:
        vector_bytes, registers = 16, 32 if triple.startswith(("aarch64", "arm64")) else 16
    return Target(triple, llvm.get_host_cpu_name(), flags.flatten(), vector_bytes, registers, host_caches())


def _named(name: str, triple: str, flags: Mapping[str, bool]) -> Target:
    """Return a named target with the system and the caches of this machine, whose CPU has these features."""
    able = [
        each
        for each, target in NAMED.items()
        if target._replace(triple=triple).is_arm == target.is_arm and all(map(flags.get, _EMITTED[each].split()))
    ]
    if name not in able:
        raise ArgumentError(
            "the environment variable IM2COL_TARGET must be empty or name a CPU whose instructions this one has, of "
            f"{', '.join(able)}; got {shown(name)}"
        )
    return NAMED[name]._replace(triple=triple, caches=host_caches())


def host_caches() -> tuple[int, int, int]:
    """Return the bytes of the first, second and last level of data cache; typical ones where the host does not say."""
    with importing:
        from pathlib import Path  # as llvmlite, it is loaded by those who compile

    sizes: dict[int, int] = {}
    try:
        for folder in Path(_CACHE_FOLDER).glob("index*"):
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            match = re.fullmatch(r"(\d+)([KMG]?)", size)
            if match and kind != "Instruction":
                sizes[int(level)] = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]
    except (OSError, ValueError):
        sizes = {}
    if not {1, 2} <= sizes.keys():
        return _TYPICAL_CACHES
    return sizes[1], sizes[2], sizes[max(sizes)]
