"""The CPU that kernels are compiled for: its vectors, registers and caches."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ArgumentError, shown
from ..importing import importing
from .cpu import cpu
from .pace import HASWELL, NEOVERSE_N, SKYLAKE_X, ZEN_3, ZEN_4, Pace, pace_of

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
    pace : Pace
        How fast its family is.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    vector_registers: int
    caches: tuple[int, int, int] = _TYPICAL_CACHES
    pace: Pace = HASWELL

    @property
    def is_arm(self) -> bool:
        """Whether its instructions are those of 64-bit ARM."""
        return _is_arm(self.triple)

    @property
    def register(self) -> str:
        """The letter by which inline assembly asks for a vector register."""
        if self.is_arm:
            return "w"
        return "v" if self.vector_bytes >= 64 else "x"

    @property
    def has_masks(self) -> bool:
        """Whether masks have registers of their own: to store a part of a vector then costs no more than all of it."""
        return self.vector_bytes >= 64

    @property
    def stores_through_masks(self) -> bool:
        """Whether a store through a mask that only the call knows is quick.

        What AVX2 has for it takes a vector register for the mask, and is microcode on AMD's CPUs before Zen 4: 14 times
        a plain store on Zen 3, as measured; LLVM avoids it there, too (llvm/llvm-project#214187). SSE2 and NEON have
        nothing.
        """
        return self.vector_bytes >= 32 and self.cpu not in _MICROCODED

    @property
    def sets(self) -> int:
        """Sets of the first-level cache, of lines of 64 bytes: as many as a page has lines, as they need no look-up.

        A page has 4 KB on x86 (32 KB in 8 ways, 48 KB in 12) and is taken for 16 KB on ARM (Neoverse's 64 KB in 4 ways,
        Apple's 128 KB in 8).
        """
        return 256 if self.is_arm else 64

    def vector_cycles(self, nbytes: int) -> float:
        """Return the cycles of an operation on a vector of so many bytes, where nothing else holds it up."""
        return self.pace.arithmetic[_width(nbytes)]

    def load_cycles(self, nbytes: int) -> float:
        """Return the cycles of a load of so many bytes."""
        return self.pace.load[_width(nbytes)]

    def broadcast_cycles(self, nbytes: int) -> float:
        """Return the cycles of the load of a number that fills a vector of so many bytes."""
        return self.pace.broadcast[_width(nbytes)]

    def store_cycles(self, nbytes: int) -> float:
        """Return the cycles of a store of so many bytes."""
        return self.pace.store[_width(nbytes)]

    def has(self, feature: str) -> bool:
        """Return whether the CPU has a feature that LLVM calls by this name."""
        return f"+{feature}" in self.features.split(",")

    def has_dot(self, dot: str) -> bool:
        """Return whether there is an instruction for a dot product; see `Numbers.dot`."""
        if dot == "u1i1":
            return (self.has("avx512vnni") and self.has("avx512vl")) or self.has("avxvnni")
        if dot == "u1i7":
            return self.vector_bytes == 32 and not self.has_dot("u1i1")
        if dot == "b2":
            return self.has("avx512bf16") and self.vector_bytes >= 64
        return self.triple.startswith("x86")

    @property
    def has_fma(self) -> bool:
        """Whether a product and a sum are one instruction, rounded once."""
        return self.vector_bytes > 16 or self.is_arm


_MICROCODED = ("bdver4", "znver1", "znver2", "znver3")
"""LLVM's names of CPUs with AVX2 whose masked stores are microcode."""
_X86 = "x86_64-unknown-linux-gnu"
NAMED = {
    "avx512": Target(_X86, "skylake-avx512", "", 64, 32, pace=SKYLAKE_X),
    "zen4": Target(_X86, "znver4", "+avx512vl,+avx512vnni,+avx512bf16", 64, 32, pace=ZEN_4),
    "avxvnni": Target(_X86, "alderlake", "+avxvnni", 32, 16, pace=HASWELL),
    "avx2": Target(_X86, "haswell", "", 32, 16, pace=HASWELL),
    "zen3": Target(_X86, "znver3", "", 32, 16, pace=ZEN_3),
    "sse2": Target(_X86, "x86-64", "", 16, 16, pace=HASWELL),
    "neon": Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32, pace=NEOVERSE_N),
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
    "zen3": f"{_AVX2} sse4a",
    "sse2": "sse2",
    "neon": "neon",
}
"""What LLVM may emit for each of them, of the features that it tells CPUs apart by; without those that are asked for
by name, such as encryption."""


@cache
def host() -> Target:
    """Return this process's target: its CPU, or a lesser one that ``IM2COL_TARGET`` names, with its caches and pace.

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
    found = cpu()
    triple, flags = found.triple, found.flags
    pace = pace_of(found.name, arm=_is_arm(triple))
    name = os.environ.get("IM2COL_TARGET")
    if name:
        return _named(name, triple, flags, pace)
    if flags.get("avx512f") and flags.get("avx512bw") and flags.get("avx512vl"):
        vector_bytes, registers = 64, 32
    elif flags.get("avx2"):
        vector_bytes, registers = 32, 16
    else:
        vector_bytes, registers = 16, 32 if _is_arm(triple) else 16
    return Target(triple, found.name, found.features, vector_bytes, registers, host_caches(), pace)


def _named(name: str, triple: str, flags: Mapping[str, bool], pace: Pace) -> Target:
    """Return a named target with the system, the caches and the pace of this machine, whose CPU has these features."""
    able = [
        each
        for each, target in NAMED.items()
        if target.is_arm == _is_arm(triple) and all(map(flags.get, _EMITTED[each].split()))
    ]
    if name not in able:
        raise ArgumentError(
            "the environment variable IM2COL_TARGET must be empty or name a CPU whose instructions this one has, of "
            f"{', '.join(able)}; got {shown(name)}"
        )
    return NAMED[name]._replace(triple=triple, caches=host_caches(), pace=pace)


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


def _is_arm(triple: str) -> bool:
    return triple.startswith(("aarch64", "arm64"))


def _width(nbytes: int) -> int:
    """Return which of the numbers of a `Pace` are those of vectors of so many bytes."""
    return (nbytes > 16) + (nbytes > 32)


def powers(count: int) -> list[tuple[int, int]]:
    """Cut a count into falling powers of two: where each starts, and how many it is.

    Examples
    --------
    >>> powers(7), powers(8)
    ([(0, 4), (4, 2), (6, 1)], [(0, 8)])
    """
    widths = [1 << bit for bit in reversed(range(count.bit_length())) if count >> bit & 1]
    return [(sum(widths[:i]), width) for i, width in enumerate(widths)]
