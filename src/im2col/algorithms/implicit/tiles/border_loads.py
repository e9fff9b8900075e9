"""What the first and the last tile of a row load where padding shows pixels of the row itself: see `mapped.Border`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....engine.builder import Builder
    from ....engine.numbers import Value
    from .mapped import Border


class BorderLoads:
    """Loads of one border's tile, in a kernel that is being written.

    Parameters
    ----------
    b : Builder
    border : Border
    kind : type
        The vector of a load.
    size : int
        Bytes of a pixel.
    width : Value
        Bytes of a row.
    """

    def __init__(self, b: Builder, border: Border, kind: Value, size: int, width: Value) -> None:
        self._b, self.border, self._kind, self._size, self._width = b, border, kind, size, width

    def load(self, line: Value, offset: int) -> Value:
        """Return the pixels that stand so many pixels behind a line's first tap, whatever lies there."""
        b, border, lanes = self._b, self.border, self._kind.count
        sources = border.sources[offset : offset + lanes]
        known = b.at(line, b.constant(-border.first * self._size))
        start = b.at(known, b.sub(b.constant(0), self._width)) if border.from_end else known
        end = known if border.from_end else b.at(known, self._width)
        first = sources[0]
        if sources == tuple(range(first, first + lanes)) and (first >= 0 or sources[-1] < 0):
            return b.load(b.at(start if first >= 0 else end, b.constant(first * self._size)), self._kind)
        ends = b.load(start, self._kind), b.load(b.at(end, b.constant(-lanes * self._size)), self._kind)
        # Of the row's first vector, or else of its last one.
        inside = [s if s < lanes else s - border.width for s in sources]
        return b.picked(*ends, [s if s >= 0 else 2 * lanes + s for s in inside])

    def written(self, lines: dict[int, Value], room: Value) -> dict[int, Value]:
        """Return lines, written into a room for all of their loads, in which pixels stand where a tile looks for them.

        A loop over columns needs them, whose loads have no constant place.
        """
        b, lanes, loads = self._b, self._kind.count, loads_of(self.border, self._kind.count)
        found = {}
        for number, (i, line) in enumerate(lines.items()):
            found[i] = b.at(room, b.constant(number * loads * lanes * self._size))
            for load in range(loads):
                to = b.at(found[i], b.constant(load * lanes * self._size))
                b.store(self.load(line, load * lanes), to)
        return found


def loads_of(border: Border, lanes: int) -> int:
    """Return how many loads of so many lanes a line of a border's tile is."""
    return len(border.sources) // lanes
