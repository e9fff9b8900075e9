"""Object code kept between processes, in a folder that belongs to the user alone.

What lies in it will be run, so nothing is loaded unless folder and file belong to this user, nobody else may write
them, and the content has the digest that stands at its head. Whatever goes wrong here costs a compilation, never an
error: the folder may be missing, full, read-only, shared between processes or damaged.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size
_SUFFIX = ".kernel"


def folder() -> Path:
    """Return where compiled kernels are kept: ``im2col`` in ``IM2COL_CACHE_DIR`` or in the user's cache folder.

    Returns
    -------
    Path
        It need not exist.
    """
    chosen = os.environ.get("IM2COL_CACHE_DIR")
    if chosen:
        base = Path(chosen)
    elif sys.platform == "win32":  # pragma: no cover
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":  # pragma: no cover
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "im2col"


def read(key: str) -> bytes | None:
    """Return what was kept under `key`, or None if it is not there, not ours alone, or damaged."""
    try:
        home = folder()
        if not _is_private(home.lstat(), stat.S_ISDIR):
            return None
        handle = os.open(home / (key + _SUFFIX), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            if not _is_private(os.fstat(handle), stat.S_ISREG):
                return None
            content = file.read()
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return data if hashlib.sha256(data).digest() == digest else None


def write(key: str, data: bytes) -> None:
    """Keep `data` under `key`, whole or not at all: other processes may read and write at the same time."""
    import tempfile  # takes longer to import than most programs need it

    temporary = None
    try:
        home = folder()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(home.lstat(), stat.S_ISDIR):
            return
        handle, temporary = tempfile.mkstemp(dir=home)  # readable and writeable by this user only
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(data).digest() + data)
        Path(temporary).replace(home / (key + _SUFFIX))
        temporary = None
    except (OSError, RuntimeError):
        pass
    finally:
        if temporary is not None:
            _remove(Path(temporary))


def count() -> int:
    """Return how many kernels are kept."""
    try:
        return sum(1 for _ in folder().glob("*" + _SUFFIX))
    except (OSError, RuntimeError):
        return 0


def clear() -> int:
    """Remove every kernel that is kept, and return how many there were."""
    try:
        return sum(_remove(path) for path in folder().glob("*" + _SUFFIX))
    except (OSError, RuntimeError):
        return 0


def _is_private(status: os.stat_result, is_kind: object) -> bool:
    """Whether this user owns it and nobody else may touch it."""
    if not callable(is_kind) or not is_kind(status.st_mode):
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
