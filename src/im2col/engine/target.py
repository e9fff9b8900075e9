"""The CPU that kernels are compiled for: its vectors, registers and caches."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from ..importing import importing

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
    def register(self) -> str:
        """The letter by which inline assembly asks for a vector register."""
        if self.triple.startswith(("aarch64", "arm64")):
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
        return self.vector_bytes > 16 or self.triple.startswith(("aarch64", "arm64"))


NAMED = {
    "avx512": Target("x86_64-unknown-linux-gnu", "skylake-avx512", "", 64, 32),
    "zen4": Target("x86_64-unknown-linux-gnu", "znver4", "+avx512vl,+avx512vnni,+avx512bf16", 64, 32),
    "avxvnni": Target("x86_64-unknown-linux-gnu", "alderlake", "+avxvnni", 32, 16),
    "avx2": Target("x86_64-unknown-linux-gnu", "haswell", "", 32, 16),
    "sse2": Target("x86_64-unknown-linux-gnu", "x86-64", "", 16, 16),
    "neon": Target("aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32),
}
"""Targets to compile for anywhere, so that tests can look at kernels for CPUs that are not here."""


@cache
def host() -> Target:
    """Return the target that this process runs on.

    Returns
    -------
    Target

    Raises
    ------
    ImportError, OSError, RuntimeError
        If llvmlite is missing or broken.
    """
    with importing:
        import llvmlite.binding as llvm

    flags = llvm.get_host_cpu_features()
    triple = llvm.get_process_triple()
    if flags.get("avx512f") and flags.get("avx512bw") and flags.get("avx512vl"):
        vector_bytes, registers = 64, 32
    elif flags.get("avx2"):
        vector_bytes, registers = 32, 16
    else:
        vector_bytes, registers = 16, 32 if triple.startswith(("aarch64", "arm64")) else 16
    return Target(triple, llvm.get_host_cpu_name(), flags.flatten(), vector_bytes, registers, host_caches())


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
