"""A lock that one run holds: the system's own, so that it ends with its process, however that ends."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import FileError, shown
from ..files import BINARY, LONGEST_PATH, reason_of
from ..importing import importing

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _BEYOND = 1 << 20
    """Of the file's content, which others could not read where it is locked."""

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _BEYOND, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

    def _is_at(_: Path, __: int) -> bool:  # a file that is open cannot be removed
        return True

else:
    import fcntl

    def _take(descriptor: int) -> None:
        # Of the process: flock's would be a forked child's, too, and stay with it when the parent is killed.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_at(path: Path, descriptor: int) -> bool:
        try:
            return os.path.samestat(path.lstat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""In a folder of several users, a link of the lock's name could have any file of this one's emptied."""
_HELD: dict[str, object] = {}
"""Locks of this process, by their paths: the system asks no thread, and drops a process's lock when any thread closes
the file. What is done here is one step of the interpreter each, so no other lock can be left behind by a fork."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HELD.clear)  # a child holds none


class Lock:
    """A file that one run, of all processes and threads, has locked.

    Parameters
    ----------
    path : Path
        The file, which is made, and removed at the end. One that a process left when it was killed is no lock.
    kept : str
        What others find locked, as a message names it.

    Raises
    ------
    FileError
        If another run holds it, or the file cannot be written, or its disk has no locks.
    """

    def __init__(self, path: Path, kept: str) -> None:
        self._path, self._process, self._key = path, os.getpid(), os.path.normcase(path)
        if _HELD.setdefault(self._key, self) is not self:
            raise _is_held(kept, _here())
        try:
            self._descriptor = self._locked(kept)
        except BaseException:
            _HELD.pop(self._key, None)
            raise

    def _locked(self, kept: str) -> int:
        """Return the descriptor of the file, locked."""
        while True:
            try:
                descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | BINARY | _NO_LINK, 0o666)
            except OSError as cause:
                raise FileError(
                    f"cannot write {str(self._path)!r}: {reason_of(cause)}; name a journal in another folder"
                ) from cause
            try:
                _take(descriptor)
                if _is_at(self._path, descriptor):  # and was not removed by its last holder in between
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, _here().encode())
                    return descriptor
            except (BlockingIOError, PermissionError) as cause:
                os.lseek(descriptor, 0, os.SEEK_SET)
                holder = os.read(descriptor, 1000).decode(errors="replace")
                os.close(descriptor)
                raise _is_held(kept, holder) from cause
            except OSError as cause:
                os.close(descriptor)
                raise FileError(
                    f"cannot lock {str(self._path)!r}: {reason_of(cause)}; name a journal on another disk"
                ) from cause
            os.close(descriptor)

    def release(self) -> None:
        """Let it go; a forked child has only its parent's file to close."""
        if self._process != os.getpid():
            os.close(self._descriptor)
            return
        if sys.platform == "win32":
            os.close(self._descriptor)  # or the file could not be removed; another run may have it by then
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        else:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
        _HELD.pop(self._key, None)


def _here() -> str:
    """Return which process this is, in words."""
    with importing:
        import platform  # which takes longer to import than this file

    return f"process {os.getpid()} on {platform.node()}"


def _is_held(kept: str, holder: str) -> FileError:
    return FileError(
        f"the journal {shown(kept, LONGEST_PATH)} is that of a run that still goes on, in {holder or 'another process'}"
        "; wait for its end, or name another journal"
    )
