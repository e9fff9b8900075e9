"""Files: whole or not at all when written, without pickle when read."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .errors import FileError, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Progress = Callable[[int, int], None]
    """``progress(done, total)``, called as long work goes on."""


def check_target(path: str | os.PathLike[str], *, force: bool) -> Path:
    """Return where a file may be written, or say why not there.

    Parameters
    ----------
    path : path-like
        The user's choice; links are followed.
    force : bool
        Whether a file that exists may be replaced.

    Raises
    ------
    FileError
        If a file exists and `force` is false, or the path is a folder or a device, or its folder is missing or
        read-only.
    """
    target = Path(path)
    try:
        target = target.resolve()
        exists, is_file = target.exists(), target.is_file()
        if not target.parent.is_dir():
            problem = f"there is no folder {target.parent}; make it first"
        elif target.is_dir():
            problem = "it is a folder; name a file in it"
        elif exists and not is_file:
            problem = "it is not a regular file; name another"
        elif exists and not force:
            problem = "it exists already; name another file, or pass force (--force) to replace it"
        else:
            return target
    except (OSError, RuntimeError, ValueError) as cause:  # a loop of links, before Python 3.13; a null byte
        problem = _reason(cause)
    raise FileError(f"cannot write {shown(str(path))}: {problem}")


@contextmanager
def replacing(path: str | os.PathLike[str], *, force: bool) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when it is complete, and not at all where its writing fails.

    Parameters
    ----------
    path, force
        As for `check_target`.

    Yields
    ------
    file
        Open for writing and reading, in the folder of `path`, with the permissions of any new file.

    Raises
    ------
    FileError
        As `check_target`, and for every `OSError` while the file is written.
    """
    target = check_target(path, force=force)
    part = target.with_name(f".im2col-{uuid.uuid4().hex[:12]}.part")
    try:
        file = part.open("x+b")
    except OSError as cause:
        raise FileError(f"cannot write {str(path)!r}: {_reason(cause)}; name another folder") from cause
    try:
        with file:
            yield file
        part.replace(target)
    except BaseException as cause:
        part.unlink(missing_ok=True)
        if isinstance(cause, OSError):
            raise FileError(f"cannot write {str(path)!r}: {_reason(cause)}") from cause
        raise


def open_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of a .npy file, mapped into memory and read-only.

    Parameters
    ----------
    path : path-like
        A file that ``np.save`` wrote.

    Raises
    ------
    FileError
        If the file cannot be read, is truncated or no .npy file, or holds Python objects: nothing is ever unpickled.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError as cause:
        raise FileError(f"cannot read {str(path)!r}: {_reason(cause)}; check the path and its permissions") from cause
    except Exception as cause:  # what NumPy raises on a malformed header depends on where it breaks
        raise FileError(
            f"{path} is no .npy file of numbers ({cause}); save one with np.save(path, array, allow_pickle=False)"
        ) from cause


def _reason(cause: Exception) -> str:
    return getattr(cause, "strerror", None) or str(cause)
