"""Files: whole or not at all when written, without pickle when read."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import sys
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .errors import FileError, format_bytes, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Progress = Callable[[int, int], None]
    """``progress(done, total)``, called as long work goes on."""

STANDARD = "-"
"""Standard input or output, where `reading` and `writing` are given it as a path."""
ANYONE = 0o777
"""Permissions of a file that all may read."""
BINARY = getattr(os, "O_BINARY", 0)
"""Of Windows, which would translate ends of lines."""
LONGEST_PATH = 4096
"""Characters of a path that a message shows: as many as Linux takes."""


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
    target, text = Path(path), os.fspath(path)
    try:
        target = target.resolve()
        exists, is_file = target.exists(), target.is_file()
        if not target.parent.is_dir():
            problem = f"there is no folder {target.parent}; make it first"
        elif text.endswith(("/", os.sep)) and not target.is_dir():
            problem = f"a name that ends in {text[-1]!r} is a folder's; name a file"
        elif target.is_dir():
            problem = "it is a folder; name a file in it"
        elif exists and not is_file:
            problem = "it is not a regular file; name another"
        elif exists and not force:
            problem = "it exists already; name another file, or pass force (--force) to replace it"
        else:
            return target
    except (OSError, RuntimeError, ValueError) as cause:  # a loop of links, before Python 3.13; a null byte
        problem = reason_of(cause)
    raise FileError(f"cannot write {shown(str(path), LONGEST_PATH)}: {problem}")


def part_of(target: Path) -> Path:
    """Return where a file lies until it is complete."""
    return target.with_name(f".im2col-{uuid.uuid4().hex[:12]}.part")


def remove_part(part: Path) -> None:
    """Remove what will not be complete, if it is there.

    What the system says of that is not told: it is what failed before that matters. A disk that is read-only refuses
    to remove even what is not there.
    """
    with suppress(OSError):
        part.unlink()


@contextmanager
def replacing(
    path: str | os.PathLike[str], *, force: bool, like: int = ANYONE, part: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when it is complete, and not at all where its writing fails.

    Parameters
    ----------
    path, force
        As for `check_target`.
    like : int
        The permissions of the file that the content comes from: whom they shut out, the new file shuts out, too.
    part : Path, optional
        Where it grows until it is complete, and stays where its writing fails; if it is there, it is gone on with.

    Yields
    ------
    file
        Open for writing and reading, in the folder of `path`. It has the permissions of the file that it replaces, or
        those of any new file.

    Raises
    ------
    FileError
        As `check_target`, and for every `OSError` while the file is written.
    """
    target = check_target(path, force=force)
    kept, part = part is not None, part or part_of(target)
    descriptor = open_part(part) if kept and part.exists() else new_part(path, part, like)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            keep_permissions(descriptor, target, like)
            yield file
        put_in_place(part, path, force=force)
    except BaseException as cause:
        if not kept:
            remove_part(part)
        if isinstance(cause, OSError):
            raise cannot_write(path, cause) from cause
        raise


def require_room(target: Path, nbytes: int, what: str, way_out: str) -> None:
    """Raise before a file is written that has no room on its disk.

    Raises
    ------
    FileError
    """
    folder = target.resolve().parent
    free = shutil.disk_usage(folder).free
    if nbytes > free:
        raise FileError(
            f"{what} takes {format_bytes(nbytes)} but the disk of {folder} has {format_bytes(free)} free; {way_out}"
        )


def new_part(path: str | os.PathLike[str], part: Path, like: int) -> int:
    """Return the descriptor of a new file, in which another one grows until it is complete."""
    allowed = 0o666 & (like | stat.S_IRWXU)
    try:
        return os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | BINARY, allowed)
    except OSError as cause:
        raise FileError(f"cannot write {str(path)!r}: {reason_of(cause)}; name another folder") from cause


def open_part(part: Path) -> int:
    """Return the descriptor of a file in which another one has grown, and which an earlier run kept."""
    try:
        return os.open(part, os.O_RDWR | BINARY)
    except OSError as cause:
        raise FileError(f"cannot read {str(part)!r}: {reason_of(cause)}; remove it, and the journal") from cause


def keep_permissions(descriptor: int, target: Path, like: int) -> None:
    """Give a new file the permissions of the one that it replaces."""
    if target.exists() and hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode) & (like | stat.S_IRWXU))


def put_in_place(part: Path, path: str | os.PathLike[str], *, force: bool) -> None:
    """Give a file that is complete its name."""
    # Another process may have been as fast: what exists by now stays, too.
    part.replace(check_target(path, force=force))


def cannot_write(path: str | os.PathLike[str], cause: Exception) -> FileError:
    """Return what is raised where the system says that a file cannot be written."""
    return FileError(f"cannot write {str(path)!r}: {reason_of(cause)}")


def check_writable(path: str | os.PathLike[str], *, force: bool) -> None:
    """Raise `FileError` where `writing` could not write: as `check_target`, or to a terminal or what is closed."""
    if str(path) != STANDARD:
        # Whether a file can be made in a folder shows for sure only when one is.
        part = part_of(check_target(path, force=force))
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as cause:
            raise FileError(f"cannot write {str(path)!r}: {reason_of(cause)}; name another folder") from cause
        finally:
            remove_part(part)
    elif sys.stdout is None:  # as Python has it where it was closed
        raise FileError("cannot write '-': standard output is closed; name a file")
    elif sys.stdout.isatty():
        raise FileError("cannot write '-': standard output is a terminal; name a file, or add > and a file's name")


@contextmanager
def writing(
    path: str | os.PathLike[str], *, force: bool, like: int = ANYONE, part: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a file as `replacing` does; ``-`` is standard output, which takes what comes as it comes.

    Parameters
    ----------
    path, force, like, part
        As for `replacing`.

    Raises
    ------
    FileError
        As `replacing`.
    """
    if str(path) != STANDARD:
        with replacing(path, force=force, like=like, part=part) as file:
            yield file
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to read and seek in; ``-`` is standard input, which is read whole.

    Parameters
    ----------
    path : path-like
        The user's choice.

    Yields
    ------
    file
        Open for reading.

    Raises
    ------
    OSError
        If it cannot be opened, or standard input is closed; whoever reads says what a user can do.
    """
    if str(path) == STANDARD:
        if sys.stdin is None:  # as Python has it where it was closed
            raise OSError(errno.EBADF, "standard input is closed")
        yield io.BytesIO(sys.stdin.buffer.read())
        return
    with Path(path).open("rb") as file:
        yield file


def permissions(path: str | os.PathLike[str]) -> int:
    """Return who may read a file, as `replacing` takes it; standard input, and what is gone, were open to all."""
    try:
        return ANYONE if str(path) == STANDARD else stat.S_IMODE(Path(path).stat().st_mode)
    except OSError:
        return ANYONE


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
        raise FileError(f"cannot read {str(path)!r}: {reason_of(cause)}; check the path and its permissions") from cause
    except Exception as cause:  # what NumPy raises on a malformed header depends on where it breaks
        raise FileError(
            f"{path} is no .npy file of numbers ({cause}); save one with np.save(path, array, allow_pickle=False)"
        ) from cause


def reason_of(cause: Exception) -> str:
    """Return what the system says of a file, without its number and the path."""
    return getattr(cause, "strerror", None) or str(cause)
