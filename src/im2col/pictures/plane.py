"""A plane, a grid of cells with coordinates, and what scenes and highlights share besides: axes and selections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from .text import Text

Mode = Literal["digits", "heat", "block"]


class Selection(NamedTuple):
    """What is looked at: one output cell, matrix row, tap, filter element or pixel, by its coordinates.

    Parameters
    ----------
    image, position, tap, filter, pixel : int or None
        An output cell has a position and a filter; a row of the matrix a position; a column a tap; a filter element a
        tap and a filter; a pixel of the image its number.
    """

    image: int = 0
    position: int | None = None
    tap: int | None = None
    filter: int | None = None
    pixel: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return self[1:] == (None, None, None, None)


NOTHING = Selection()
"""Nothing is selected."""


class Axis(NamedTuple):
    """An axis of cells or of planes, of which some may be left out.

    Parameters
    ----------
    length : int
        With what is left out.
    shown : tuple of int
        Ascending.
    unit : str
        The dictionary's word for what is counted: rows, columns, channels, …
    """

    length: int
    shown: tuple[int, ...]
    unit: str

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Where something is left out: (index in `shown` after which, how many)."""
        pairs = enumerate(zip(self.shown, self.shown[1:], strict=False))
        return tuple((i, b - a - 1) for i, (a, b) in pairs if b > a + 1)


FIRST, LAST = 3, 2


def axis(length: int, unit: str, limit: int, chosen: Iterable[int | None] = ()) -> Axis:
    """Return an axis that shows everything, or the first three, the last two and what is chosen with its neighbours.

    Parameters
    ----------
    length : int
    unit : str
    limit : int
        The longest axis that is shown whole.
    chosen : iterable of int or None

    Examples
    --------
    >>> axis(100, "rows", 48, [50]).shown
    (0, 1, 2, 49, 50, 51, 98, 99)
    """
    if length <= max(limit, FIRST + LAST):
        return Axis(length, tuple(range(length)), unit)
    kept = {*range(FIRST), *range(length - LAST, length)}
    for one in chosen:
        if one is not None:
            kept.update(range(max(0, one - 1), min(length, one + 2)))
    # A gap of one takes no less room than what it hides.
    kept.update(i + 1 for i in tuple(kept) if i + 2 in kept)
    return Axis(length, tuple(sorted(kept)), unit)


@dataclass(frozen=True, eq=False)
class Plane:
    """A grid of cells.

    Parameters
    ----------
    place : (int, int)
        Row and column in the panel's arrangement.
    what : str
        What its cells show; see `panels.py`.
    label : tuple of Text
        Such as its channel; empty where the panel's title says all.
    rows, columns : Axis
    mode : {"digits", "heat", "block"}
        Text in each cell; a picture; an outline with its dimensions.
    coordinates : mapping of str to (int, int, int)
        ``base + row·down + column·right`` for each coordinate that its cells have.
    text : ndarray of object, (rows, columns), or None
        Labels of the shown cells; only where there are digits.
    values : ndarray of float64, (rows, columns), or None
        Of the shown cells, for colours; the modulus of a complex number. None where the plane is a block.
    channel : ndarray of int, (rows, columns)
        The input channel's number that a cell belongs to, -1 for none.
    padding, blank : ndarray of bool, (rows, columns)
        Cells that lie in the padding, or beyond the end where tiles reach there, and cells that hold nothing (a channel
        that a filter does not read).
    row_headers, column_headers : tuple of str
        One for each shown row or column, or empty.
    """

    place: tuple[int, int]
    what: str
    label: tuple[Text, ...]
    rows: Axis
    columns: Axis
    mode: Mode
    coordinates: Mapping[str, tuple[int, int, int]]
    text: NDArray[Any] | None
    values: NDArray[np.float64] | None
    channel: NDArray[np.int64]
    padding: NDArray[np.bool_]
    blank: NDArray[np.bool_]
    row_headers: tuple[str, ...] = ()
    column_headers: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns that are shown; of a block, all."""
        return len(self.rows.shown), len(self.columns.shown)

    def coordinate(self, name: str) -> NDArray[np.int64] | None:
        """Return one coordinate of every shown cell, shape (rows, columns); None where its cells have no such one."""
        return self.the(name) if name in self.coordinates else None

    def the(self, name: str) -> NDArray[np.int64]:
        """Return a coordinate that these cells are known to have, shape (rows, columns)."""
        base, down, right = self.coordinates[name]
        rows, columns = (np.array(a.shown, np.int64) for a in (self.rows, self.columns))
        return np.asarray(base + np.add.outer(rows * down, columns * right))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "place": list(self.place),
            "what": self.what,
            "label": [text.to_json() for text in self.label],
            "rows": self.rows._asdict() | {"shown": list(self.rows.shown)},
            "columns": self.columns._asdict() | {"shown": list(self.columns.shown)},
            "mode": self.mode,
            "coordinates": {name: list(steps) for name, steps in self.coordinates.items()},
            "text": None if self.text is None else self.text.tolist(),
            "values": None if self.values is None else _plain(self.values),
            "channel": self.channel.tolist(),
            "padding": self.padding.tolist(),
            "blank": self.blank.tolist(),
            "row_headers": list(self.row_headers),
            "column_headers": list(self.column_headers),
        }


def _plain(values: NDArray[np.float64]) -> list[list[float | str]]:
    """Return numbers as JSON has them: NaN and the infinities as strings."""
    return [[v if np.isfinite(v) else str(v) for v in row] for row in values.tolist()]
