"""What takes the rows of a photograph, from the first to the last."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..engine.threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray

BESIDE = 5
"""Bytes that a sink takes for each byte of the rows that are written together, at most."""
T = TypeVar("T")
R = TypeVar("R")


class Sink(ABC):
    """An image file that is being written.

    Parameters
    ----------
    file : binary file
        Open for writing.
    """

    wanted = 0
    """The first row that it takes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many the file has, from which it can be gone on with."""

    @property
    @abstractmethod
    def state(self) -> list[int]:
        """What else is needed to go on with it."""

    @abstractmethod
    def go_on(self, rows: int, state: list[int]) -> bool:
        """Go on with a file that has so many rows; or say that it is another one, by returning False."""

    def flush(self) -> None:
        """Bring to the disk what has been written."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _cut(self, size: int) -> bool:
        """Go to the end of a file's first bytes, and forget what follows; return False where it has not so many."""
        if not 0 < size <= self._file.seek(0, os.SEEK_END):
            return False
        self._file.truncate(size)
        self._file.seek(size)
        return True

    @abstractmethod
    def write(self, rows: NDArray[Any]) -> None:
        """Take the next rows, (n, W, C); the first ones from `wanted` on."""

    @abstractmethod
    def finish(self) -> None:
        """Write what follows the last row."""


def on_all_threads(function: Callable[[T], R], parts: Sequence[T], threads: int) -> list[R]:
    """Return what a function makes of each part, in their order."""
    made: list[Any] = [None] * len(parts)

    def make(number: int) -> None:
        made[number] = function(parts[number])

    run_parallel([partial(make, number) for number in range(len(parts))], threads)
    return made
