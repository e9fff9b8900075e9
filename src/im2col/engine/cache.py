"""Object code, and what was measured, kept between processes in a folder that belongs to the user alone.

What lies in it will be run, so nothing is loaded unless folder and file belong to this user, nobody else may write
them, and the content has the digest that stands at its head. Whatever goes wrong here costs a compilation, never an
error: the folder may be missing, full, read-only, shared between processes or damaged.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..importing import importing

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGEST_BYTES = 32
KERNEL, VERDICT, CPU = ".kernel", ".verdict", ".cpu"
"""What files hold, as their names end: object code, what was measured of a layer, what LLVM says of the CPU."""
_PART = ".part"


def folder() -> Path | None:
    """Return where it is kept: ``im2col`` in ``IM2COL_CACHE_DIR`` or in the user's cache folder.

    Returns
    -------
    Path or None
        It need not exist. None for a user without a home.
    """
    chosen = os.environ.get("IM2COL_CACHE_DIR")
    try:
        if chosen:
            base = Path(chosen).expanduser()
        elif sys.platform == "win32":  # pragma: no cover
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
        elif sys.platform == "darwin":  # pragma: no cover
            base = Path.home() / "Library/Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return base / "im2col"


def usable_folder() -> Path | None:
    """Return the folder if it exists and belongs to this user alone."""
    home = folder()
    try:
        return home if home is not None and _is_private(home.lstat(), stat.S_ISDIR) else None
    except OSError:
        return None


def read(key: str, kind: str = KERNEL) -> bytes | None:
    """Return what was kept under `key`, or None if it is not there, not ours alone, or damaged."""
    home = usable_folder()
    if home is None:
        return None
    try:
        handle = os.open(home / (key + kind), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            if not _is_private(os.fstat(handle), stat.S_ISREG):
                return None
            content = file.read()
    except OSError:
        return None
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return data if _digest(key, data) == digest else None


def write(key: str, data: bytes, kind: str = KERNEL) -> None:
    """Keep `data` under `key`, whole or not at all: other processes may read and write at the same time."""
    with importing:
        import tempfile  # as hashlib below

    home, temporary = folder(), None
    try:
        if home is not None:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home is None or usable_folder() is None:
            return
        handle, temporary = tempfile.mkstemp(dir=home, suffix=_PART)  # readable and writeable by this user only
        with os.fdopen(handle, "wb") as file:
            file.write(_digest(key, data) + data)
        Path(temporary).replace(home / (key + kind))
        temporary = None
    except OSError:
        pass
    finally:
        if temporary is not None:
            _remove(Path(temporary))


def count() -> int:
    """Return how many kernels are kept."""
    return len(_kept(KERNEL))


def clear() -> int:
    """Remove all that is kept, and what a killed process left behind; return how many kernels there were."""
    for path in _kept(_PART) + _kept(VERDICT) + _kept(CPU):
        _remove(path)
    return sum(_remove(path) for path in _kept(KERNEL))


def _kept(suffix: str) -> list[Path]:
    home = usable_folder()
    try:
        return [] if home is None else list(home.glob("*" + suffix))
    except OSError:
        return []


def _digest(key: str, data: bytes) -> bytes:
    """Return what stands before the data: no file is taken for another's."""
    with importing:
        import hashlib  # takes longer to import than small programs need it

    return hashlib.sha256(key.encode() + data).digest()


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether this user owns it and nobody else may touch it."""
    if not is_kind(status.st_mode):
        return False
    if not hasattr(os, "getuid"):  # pragma: no cover (Windows keeps a user's folders apart by itself)
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o077


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
