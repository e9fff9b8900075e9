"""What a kernel is told of its task, and the turns that tiles take where weights come from afar."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Range = tuple[int, int]

TASK = ["image0", "image1", "group0", "group1", "block0", "block1", "row0", "row1"]
"""The words of a task: ranges."""
FAR_TASK = [*TASK, "part0", "part1", "tile", "last", "step"]
"""Those where weights come from afar: which taps are multiplied, and what is fetched meanwhile. Of all tiles of a turn,
`tile` came before those of the task; each one fetches `step` bytes a tap, until the `last` that is needed for it."""


class Far(NamedTuple):
    """A layer whose weights come from afar.

    All tiles of a band of the map take a turn with one block of filters, or a part of its taps, before they go on to
    the next, which they fetch meanwhile: weights cross a band once, and near caches have room for those of two turns.

    Parameters
    ----------
    taps : int
    parts : tuple of int
        For each kind of blocks of filters, how many taps are multiplied together.
    tap_bytes : tuple of int
        For each kind of blocks of filters, the bytes of the weights of one tap.
    bands : int
        Of a map.
    images : int
        Whose maps are taken together.
    image_bytes : (int, int)
        From one image to the next, and from one result to the next.
    """

    taps: int
    parts: tuple[int, ...]
    tap_bytes: tuple[int, ...]
    bands: int
    images: int
    image_bytes: tuple[int, int]

    def image_ranges(self, images: Range) -> Iterator[Range]:
        """Yield which of the images are taken together."""
        first, stop = images
        for at in range(first, stop, self.images):
            yield at, min(stop, at + self.images)

    def bands_of(self, rows: Range, pieces: int) -> Iterator[tuple[Range, int]]:
        """Yield bands of some of so many pieces of the map: ranges of smaller pieces, and how many of those there are.

        Examples
        --------
        >>> list(Far(9, (9,), (64,), 2, 1, (0, 0)).bands_of((0, 3), 4))
        [((0, 3), 8), ((3, 6), 8)]
        """
        first, stop = rows
        count = -(-self.bands * (stop - first) // pieces)
        for i in range(count):
            yield (first * count + (stop - first) * i, first * count + (stop - first) * (i + 1)), pieces * count

    def tasks(
        self,
        kind: int,
        images: int,
        groups: Range,
        blocks: Range,
        runs: Sequence[tuple[Range, int]],
        *,
        fetching: bool,
    ) -> list[NDArray[np.int64]]:
        """Return the tasks of all turns with some blocks of filters of one kind, a table for each run of tiles.

        Parameters
        ----------
        kind, images : int
        groups, blocks : (int, int)
        runs : sequence of ((int, int), int)
            The rows of each, and the tiles of a row.
        fetching : bool
            Whether the weights of the next turn lie behind those of this one.
        """
        part, tap_bytes = self.parts[kind], self.tap_bytes[kind]
        parts = list(pairwise([*range(0, self.taps, part), self.taps]))
        tiles = [images * (stop - first) * each for (first, stop), each in runs]
        alone = sum(tiles) == 1  # it reads weights once and in order, all blocks in one turn
        some = [blocks] if alone else [(block, block + 1) for block in range(*blocks)]
        turns = [(*each, *taps) for each in some for taps in parts]
        fetching = fetching and not alone
        varying = [FAR_TASK.index(word) for word in ("block0", "block1", "part0", "part1")]
        step = -(-tap_bytes // sum(tiles)) if fetching else 0
        last = -(-tap_bytes // step) - 1 if fetching else 0
        tables, before = [], 0
        for (rows, _), count in zip(runs, tiles, strict=True):
            words = [0, images, *groups, *blocks, *rows, 0, self.taps, before, last, step]
            table = np.tile(np.array(words, np.int64), (len(turns), 1))
            table[:, varying] = turns
            tables.append(table)
            before += count
        return tables
