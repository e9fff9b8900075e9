"""What was detected on this machine, and the cache of compiled kernels."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import memory
from .algorithms import registry
from .engine.host import available_memory, usable_cpus
from .engine.target import host
from .engine.threads import resolve_threads
from .errors import ArgumentError, named
from .importing import importing
from .version import __version__

if TYPE_CHECKING:
    from pathlib import Path


@named
def show_config() -> dict[str, Any]:
    """Return what the library found on this machine and what it will use.

    Returns
    -------
    dict
        Plain values, for people and for JSON: versions; the algorithms; whether the engine works, and if not, why; the
        CPU that kernels are compiled for, whether ``IM2COL_TARGET`` names it, its vector width and caches in bytes;
        CPUs, threads and memory that this process may use; where compiled kernels are kept, whether that folder can be
        used (it must belong to the user alone), and how many there are.

    Raises
    ------
    ArgumentError
        If the environment variable ``IM2COL_NUM_THREADS`` is no positive integer, or ``IM2COL_TARGET`` names no CPU
        whose instructions this one has.

    Examples
    --------
    >>> import im2col
    >>> sorted(im2col.show_config()["versions"])
    ['im2col', 'llvmlite', 'numpy', 'python']
    """
    with importing:
        import platform  # these take longer to import than the rest of the package
        from importlib.metadata import version

        from .engine import cache, compiler

    folder = cache.folder()
    config: dict[str, Any] = {
        "versions": {"im2col": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "algorithms": list(registry()),
        "engine": compiler.failure() or "no failure so far",
        "cpus": usable_cpus(),
        "threads": resolve_threads(None),
        "available_memory": available_memory(),
        "cache_folder": str(folder) if folder else None,
        "cache_usable": cache.usable_folder() is not None or bool(folder and _can_be_made(folder)),
        "cached_kernels": cache.count(),
    }
    try:
        config["versions"]["llvmlite"] = version("llvmlite")
        target = host()
    except ArgumentError:
        raise
    except Exception as cause:
        config["engine"] = compiler.failure() or f"{type(cause).__name__}: {cause}"
    else:
        config["target"] = {
            "cpu": target.cpu,
            "named": os.environ.get("IM2COL_TARGET") or None,
            "triple": target.triple,
            "family": target.pace.family,
            "vector_bytes": target.vector_bytes,
            "vector_registers": target.vector_registers,
            "caches": list(target.caches),
        }
    return config


def _can_be_made(folder: Path) -> bool:
    """Say whether a folder that is missing could be made: by making one where its first missing parent would be."""
    with importing:
        import tempfile  # as above
        from pathlib import Path

    try:
        if folder.exists() or folder.is_symlink():
            return False
        while not folder.exists():
            folder = folder.parent
        Path(tempfile.mkdtemp(prefix=".im2col-", dir=folder)).rmdir()
    except OSError:
        return False
    return True


@named
def clear_cache() -> int:
    """Remove every compiled kernel from the user's cache folder; they are compiled again when they are needed.

    So is what ``plan(…, tune=True)`` measured. Memory that is kept for later calls is freed, too: blocks that are used
    again, and all that was decided about calls with the same arguments. Plans keep what is theirs. The kernels that
    this process has loaded stay, too: a plan or another thread may be running them.

    Returns
    -------
    int
        How many there were.

    Examples
    --------
    >>> import im2col
    >>> im2col.clear_cache() >= 0
    True
    """
    with importing:
        from .engine import cache, scratch  # as above

    memory.clear()
    scratch.clear()
    return cache.clear()
