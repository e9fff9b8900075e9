"""What LLVM says of this process's CPU, and which LLVM it is: asked once, and kept for processes that compile nothing.

The library takes 40 MB and 50 ms, beside kernels that are kept.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from ..importing import importing

_IDENTITY = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
"""What Linux tells of a CPU of x86 that LLVM's own question, CPUID, is answered by."""
_LEAVES = 16
"""Of CPUID that the C library is asked for: it knows ten, and says nothing of the others."""


class Cpu(NamedTuple):
    """A CPU, and the LLVM that compiles for it.

    Parameters
    ----------
    triple, name, features : str
        LLVM's words for it.
    flags : dict of str to bool
        The features, one by one.
    llvm : tuple of int
        LLVM's version.
    """

    triple: str
    name: str
    features: str
    flags: dict[str, bool]
    llvm: tuple[int, ...]


def cpu() -> Cpu:
    """Return this process's CPU: as it was kept, where LLVM is not loaded yet.

    Raises
    ------
    ImportError, OSError, RuntimeError
        If llvmlite is missing or broken.
    """
    kept = None if "llvmlite.binding" in sys.modules else _kept()
    return kept or _asked()


@cache
def llvm_version() -> tuple[int, ...]:
    """Return the version of LLVM, as `cpu` does."""
    return cpu().llvm


def _asked() -> Cpu:
    """Return what LLVM says."""
    with importing:
        import llvmlite.binding as llvm

    flags = llvm.get_host_cpu_features()
    triple, name = llvm.get_process_triple(), llvm.get_host_cpu_name()
    return Cpu(triple, name, flags.flatten(), dict(flags), tuple(llvm.llvm_version_info))


@cache
def _kept() -> Cpu | None:
    """Return what LLVM said to an earlier process, or says now, for later ones; None where nothing can be kept.

    A folder may be that of several machines: what is kept is found by what the system says of the CPU.
    """
    with importing:
        import hashlib  # these take longer to import than small programs need them
        import json

        import llvmlite

        from . import cache as store

    identity = _identity()
    if identity is None:
        return None
    material = repr((identity, Cpu._fields, llvmlite.__version__, llvmlite.__file__, sys.maxsize, sys.platform))
    key = hashlib.sha256(material.encode()).hexdigest()
    with suppress(ValueError, TypeError):  # there is none, or it is not what is written below
        triple, name, features, flags, llvm = json.loads(store.read(key, store.CPU) or b"")
        return Cpu(triple, name, features, dict(flags), tuple(llvm))
    found = _asked()
    store.write(key, json.dumps(found).encode(), store.CPU)
    return found


def _identity() -> list[str] | None:
    """Return what Linux says of the first CPU, and what of that this process may use.

    Returns
    -------
    list of str or None
        None on other systems, on CPUs whose kernels need LLVM anyway, and where the C library says nothing.
    """
    with importing:
        from pathlib import Path  # as above

    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 14).partition("\n\n")[0]
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in told.items()}
    usable = _usable() if set(_IDENTITY) <= told.keys() else None
    return None if usable is None else [*(told[name] for name in _IDENTITY), usable]


def _usable() -> str | None:
    """Return the features that the C library found at the start of this process; None before glibc 2.33.

    Valgrind, QEMU and Intel's SDE give a process another CPU than the system tells of: what is kept for the one would
    end the other.
    """
    with importing:
        import ctypes

    try:
        leaf = ctypes.CDLL(None).__x86_get_cpuid_feature_leaf
    except (OSError, AttributeError):
        return None
    leaf.argtypes, leaf.restype = [ctypes.c_uint], ctypes.POINTER(ctypes.c_uint32 * 8)
    # Of each leaf four words as CPUID has them, among them which core it was, and four as they may be used.
    return " ".join(f"{word:x}" for number in range(_LEAVES) for word in leaf(number).contents[4:])
