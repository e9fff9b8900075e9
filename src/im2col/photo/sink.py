"""What takes the rows of a photograph, from the first to the last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..engine.threads import run_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

BESIDE = 5
"""Bytes that a sink takes for each byte of the rows that are written together, at most."""
T = TypeVar("T")
R = TypeVar("R")


class Sink(ABC):
    """An image file that is being written."""

    @abstractmethod
    def write(self, rows: NDArray[Any]) -> None:
        """Take the next rows, (n, W, C)."""

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
