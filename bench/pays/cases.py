"""The cases: layers by channels, map and kernel, and filters of photographs by kernel and rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Case(NamedTuple):
    """A layer of square maps and kernels that keeps the map's size, or a filter of a photograph.

    Parameters
    ----------
    kind : str
        The panel of the chart.
    channels, filters : int
    side : int
        Pixels of the map along each of its two axes.
    kernel : int
        Taps along each of them.
    rank : int or None
        Of the kernels, as matrices; None for any.
    """

    kind: str
    channels: int
    filters: int
    side: int
    kernel: int
    rank: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}, {self.kernel}×{self.kernel}"

    @property
    def flops(self) -> int:
        """Two for each product of the definition, taps in the padding included."""
        return 2 * self.channels * self.filters * self.side**2 * self.kernel**2

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return an image and filters: normal numbers, or kernels that are sums of as many outer products."""
        rng, k = np.random.default_rng(0), self.kernel
        x = rng.standard_normal((1, self.channels, self.side, self.side)).astype(np.float32)
        shape = (self.filters, self.channels)
        if self.rank is None:
            w = rng.standard_normal((*shape, k, k))
        else:
            w = rng.standard_normal((*shape, k, self.rank)) @ rng.standard_normal((*shape, self.rank, k))
        return x, w.astype(np.float32)


_LAYERS = (
    *((16, side) for side in (56, 112)),
    *((64, side) for side in (14, 56)),
    *((256, side) for side in (14, 28)),
)
"""Channels, as many as filters, and the map's side."""
_SIDE = 1024
"""Of a photograph."""

CASES: tuple[Case, ...] = (
    *(Case(f"{n} channels, {side}×{side}", n, n, side, k) for n, side in _LAYERS for k in (3, 5, 7, 9, 11)),
    *(
        Case(f"a photograph, rank {rank or 'full'}", 1, 1, _SIDE, k, rank)
        for rank in (1, 3, None)
        for k in (3, 5, 9, 15, 21, 31, 47, 63)
    ),
)
