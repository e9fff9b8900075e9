"""Strided sums: matrix → image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Region = tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]


def add_regions(image: NDArray[Any], columns: NDArray[Any], regions: Sequence[Region], threads: int) -> None:
    every = (slice(None), slice(None))
    for kernel, output, pixels in regions:
        image[(*every, *pixels)] += columns[(*every, *kernel, *output)]
