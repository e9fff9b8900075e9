"""What LLVM says of this process's CPU, and which LLVM it is: asked once, and kept for processes that compile nothing.

The library takes 40 MB and 50 ms, beside kernels that are kept.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import NamedTuple

from ..importing import importing

_IDENTITY = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags")
"""What Linux tells of a CPU of x86 that LLVM's own question, CPUID, is answered by."""


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
    material = repr((identity, llvmlite.__version__, llvmlite.__file__, sys.maxsize, sys.platform))
    key = hashlib.sha256(material.encode()).hexdigest()
    data = store.read(key, store.CPU)
    if data is None:
        found = _asked()
        store.write(key, json.dumps(found).encode(), store.CPU)
        return found
    triple, name, features, flags, llvm = json.loads(data)
    return Cpu(triple, name, features, flags, tuple(llvm))


def _identity() -> list[str] | None:
    """Return what Linux says of the first CPU; None on other systems, and on CPUs whose kernels need LLVM anyway."""
    with importing:
        from pathlib import Path  # as above

    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 14).partition("\n\n")[0]
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in told.items()}
    return [told[name] for name in _IDENTITY] if set(_IDENTITY) <= told.keys() else None
