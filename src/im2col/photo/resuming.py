"""Filters of photographs, from file to file, that go on where an earlier run ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..blocks.journal import Journal
from ..blocks.product import digest
from ..errors import ArgumentError, shown
from ..files import STANDARD, reading
from ..spec.arguments import is_a
from ..version import __version__
from .decoding import decoding

if TYPE_CHECKING:
    from .row_filter import RowFilter
    from .writing import Format

_PLACES = 16
"""Of a file that are looked at, evenly from its first bytes to its last."""
_SAMPLE = 1 << 14
"""Bytes that are looked at in each of them."""


def check_journal(journal: Any, source: str | os.PathLike[str], target: str | os.PathLike[str], form: Format) -> None:
    """Refuse a journal of a run that cannot have one.

    Parameters
    ----------
    journal : path-like or None
        What a user passed.
    source, target : path-like
        The image files.
    form : Format
        Of the target.

    Raises
    ------
    ArgumentError
        If it is no path, or the photograph is read from a pipe, or written to one, or not by rows.
    """
    if journal is None:
        return
    if not is_a(journal, (str, os.PathLike)):
        raise ArgumentError(f"journal must be the path of a .json file, got {shown(journal)}; pass one")
    if STANDARD in {str(source), str(target)}:
        raise ArgumentError("journal is for files, to which another run can go back; name files instead of '-'")
    if not form.by_rows:
        raise ArgumentError(f"journal is for PNG and TIFF, but {form.name} is written; leave it out")


def journal_of(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    filtering: RowFilter,
    level: int,
) -> Journal:
    """Return the journal of a filter, whose blocks are rows of the result.

    Parameters
    ----------
    path : path-like
    source, target : path-like
        The image files.
    filtering : RowFilter
    level : int
        Of the target's compression.

    Raises
    ------
    FileError, ArgumentError
        As `Journal`.
    """
    result = filtering.result
    run = {
        "version of im2col": __version__,
        "source": _identity_of(source),
        "sink": f"{os.path.abspath(target)} {result.shape} of {result.dtype}",  # noqa: PTH100 (as in `blocks`)
        **filtering.identity,
        "compression": str(level),
    }
    return Journal(os.fspath(path), run, result.shape[0], os.fspath(target))


def _identity_of(source: str | os.PathLike[str]) -> str:
    """Return what tells a file from others, and from itself after a change: a few places stand for its content."""
    with decoding(source), reading(source) as file:
        told = os.fstat(file.fileno())
        parts = []
        for i in range(_PLACES):
            file.seek(max(0, told.st_size - _SAMPLE) * i // (_PLACES - 1))
            parts.append(file.read(_SAMPLE))
    path = os.path.abspath(source)  # noqa: PTH100 (as above)
    return f"{path}, {told.st_size} bytes, changed at {told.st_mtime_ns} ns, {digest(*parts)}"
