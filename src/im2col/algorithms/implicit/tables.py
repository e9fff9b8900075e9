"""What kernels are called with but arrays: jobs, and the tables that they point at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ...engine.compiler import Kernel
    from .packing import FilterBlocks, PackedAt
    from .tasks import Far


class TileRun(NamedTuple):
    """Tiles of the map that one kernel computes, for each of the blocks of filters.

    Parameters
    ----------
    rows : int
        Of its table.
    calls : tuple of (Kernel, ndarray, int)
        For each of the blocks: the kernel, its job, and bytes by which its pixels start later.
    tables : tuple of ndarray
        What the jobs point at, kept alive.
    tiles : int
        Of a row, where the weights come from afar.
    positions : int
        Along the last axis of the map, of a row of the table; 0 where bands are not made of them.
    """

    rows: int
    calls: tuple[tuple[Kernel, NDArray[np.int64], int], ...]
    tables: tuple[NDArray[Any], ...]
    tiles: int = 1
    positions: int = 0

    @property
    def starts(self) -> tuple[NDArray[np.int64], int]:
        """Where its rows start in the result, in bytes, and their positions, where bands are made of them."""
        return self.tables[1][:, 1], self.positions


class Tables(NamedTuple):
    """Everything that kernels are called with but the arrays' addresses and the weights' values.

    Parameters
    ----------
    blocks : list of FilterBlocks
        How the filters of a group are packed.
    runs : list of TileRun
        What is called, each for all blocks.
    places : list of PackedAt
        Where each of the blocks is packed.
    groups : int
        Groups that a kernel loops over.
    out_filter : int
        Bytes of the result from one filter to the next.
    weights_outweigh : bool
        Whether blocks of filters are cut for threads rather than rows, where both would do.
    far : Far, optional
        Where the weights come from afar: then tasks have the words of `FAR_TASK`.
    """

    blocks: list[FilterBlocks]
    runs: list[TileRun]
    places: list[PackedAt]
    groups: int
    out_filter: int
    weights_outweigh: bool
    far: Far | None = None

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that are called, each once."""
        return tuple(dict.fromkeys(kernel for run in self.runs for kernel, *_ in run.calls))

    @property
    def starts(self) -> list[tuple[NDArray[np.int64], int]]:
        """Those of each run."""
        return [run.starts for run in self.runs]


def job_table(words: Sequence[str], **values: Any) -> NDArray[np.int64]:
    """Return a kernel's job: its words in order, tables by their addresses."""
    return np.array([v.ctypes.data if isinstance(v := values[word], np.ndarray) else v for word in words], np.int64)
