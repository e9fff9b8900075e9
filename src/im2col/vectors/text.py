"""Tiles as text: memories of Verilog, arrays of C, tables, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .tiles import ENTRIES, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .numbers import Number
    from .tiles import Matrix, Part

Format = Literal["mem", "hex", "c", "csv", "json"]
FORMATS = get_args(Format)
ENDINGS = {"mem": ".mem", "hex": ".hex", "c": ".h", "csv": ".csv", "json": ".json"}
_COMMENTS = {"mem": "// ", "hex": "// ", "c": " * ", "csv": "# "}
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_LONGEST_HEADER = 4096
_LONGEST_COMMENT = 160
_ENTRY_BYTES = 160
"""In memory, of a number that becomes text: as Python's own, as a word, and as bits in bytes."""


def text_of(matrix: Matrix, form: Format, facts: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    """Yield a file piece by piece, each with the number of entries in it.

    Parameters
    ----------
    matrix : Matrix
    form : {"mem", "hex", "c", "csv", "json"}
        ``mem``: what ``$readmemh`` reads, a word for each number. ``hex``: the same, a word for each row of a tile, its
        first number in the lowest bits. ``c``: a header with an array of four axes. ``csv``: a row of a tile in a line.
        ``json``: four nested lists, and everything that a program must know.
    facts : sequence of str
        What the header says beside the matrix's own shape, tiles and numbers.
    """
    lines = (*facts, *_order(matrix), *([_word_of(matrix, form)] if form in {"mem", "hex"} else []))
    if form == "json":
        yield from _json(matrix, lines)
    elif form == "c":
        yield from _c(matrix, lines)
    else:
        mark = _COMMENTS[form]
        yield "".join(f"{mark}{line}\n" for line in lines).encode(), 0
        write = _csv_rows if form == "csv" else _words if form == "mem" else _wide_words
        for part in parts(matrix):
            comment = f"{mark}{_place(matrix, part)}\n" if part.first == 0 else ""
            yield comment.encode() + write(part.rows, matrix.number), part.rows.size


def most_bytes(matrix: Matrix, form: Format) -> int:
    """Return how many bytes a file may take: never less than it does."""
    digits = -(-matrix.number.bits // 4) + 1
    if form in {"c", "csv", "json"}:
        digits = max(len(str(matrix.number.least)), len(str(matrix.number.greatest))) + 2
    down, across = matrix.counts
    return _LONGEST_HEADER + matrix.entries * digits + down * across * (matrix.tile[0] * 4 + _LONGEST_COMMENT)


def part_bytes(matrix: Matrix) -> int:
    """Return how much memory a part of a matrix takes on its way into a file: never less than a row of a tile."""
    return _ENTRY_BYTES * max(ENTRIES, matrix.tile[1], matrix.depth)


def _order(matrix: Matrix) -> tuple[str, ...]:
    (rows, columns), (height, width), (down, across) = matrix.shape, matrix.tile, matrix.counts
    return (
        f"{down} x {across} tiles of {height} {matrix.axes[0]} x {width} {matrix.axes[1]}, which cover {rows} x "
        f"{columns}; row of tiles after row of tiles, each tile row by row; zeros where a tile ends beyond the matrix",
    )


def _word_of(matrix: Matrix, form: Format) -> str:
    """Return how ``$readmemh`` is to be called."""
    down, across = matrix.counts
    words, bits = matrix.entries, matrix.number.bits
    if form == "hex":
        words, bits = down * across * matrix.tile[0], bits * matrix.tile[1]
    what = "a number" if form == "mem" else "a row of a tile, its first number in the lowest bits"
    return f"reg [{bits - 1}:0] {matrix.name} [0:{words - 1}]; each word is {what}"


def _place(matrix: Matrix, part: Part) -> str:
    """Return which tile it is, and what of the matrix it covers."""
    spans = []
    for axis, number, size, whole in zip(matrix.axes, part.tile, matrix.tile, matrix.shape, strict=True):
        last = min((number + 1) * size, whole) - 1
        spans.append(f"{axis} {number * size} to {last}")
    return f"tile {part.tile[0]}, {part.tile[1]}: {', '.join(spans)}"


# --- memories of Verilog


def _words(rows: NDArray[np.int64], number: Number) -> bytes:
    """Return a line for each row, of a word for each number."""
    lines = _hex(rows[:, :, None], number.bits)
    return _joined(lines)


def _wide_words(rows: NDArray[np.int64], number: Number) -> bytes:
    """Return a line for each row, which is one word."""
    return _joined(_hex(rows[:, None, :], number.bits))


def _hex(groups: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Return the digits of words, of which each holds the numbers of the last axis, the first of them lowest."""
    octets = groups.astype("<i8")[..., None].view(np.uint8)
    spread = np.unpackbits(octets, axis=-1, count=bits, bitorder="little")
    packed = np.packbits(spread.reshape(*groups.shape[:-1], -1), axis=-1, bitorder="little")
    digits = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*groups.shape[:-1], -1)
    return np.asarray(_DIGITS[digits[..., -(groups.shape[-1] * bits // -4) - 1 :: -1]])


def _joined(words: NDArray[np.uint8]) -> bytes:
    """Return lines of words, with a space between two."""
    spaced = np.full((*words.shape[:2], words.shape[2] + 1), ord(" "), np.uint8)
    spaced[..., :-1] = words
    spaced[:, -1, -1] = ord("\n")
    return spaced.tobytes()


# --- what has brackets and commas


def _csv_rows(rows: NDArray[np.int64], _: Number) -> bytes:
    return "".join(f"{','.join(map(str, row))}\n" for row in rows.tolist()).encode()


def _c(matrix: Matrix, lines: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    down, across = matrix.counts
    guard = f"IM2COL_{matrix.name.upper()}_H"
    sizes = "".join(f"[{n}]" for n in (down, across, *matrix.tile))
    comment = "".join(f" * {line}\n" for line in lines)
    head = (
        f"/*\n{comment} */\n#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n\n"
        f"static const {matrix.number.dtype.name}_t {matrix.name}{sizes} = {{\n"
    )
    yield head.encode(), 0
    yield from _nested(matrix, "{", "}", lambda part: f"/* {_place(matrix, part)} */\n")
    yield f"\n}};\n\n#endif /* {guard} */\n".encode(), 0


def _json(matrix: Matrix, lines: Sequence[str]) -> Iterator[tuple[bytes, int]]:
    number = matrix.number
    facts: dict[str, Any] = {
        "matrix": matrix.name,
        "axes": matrix.axes,
        "shape": matrix.shape,
        "tile": matrix.tile,
        "number": {"name": number.name, "bits": number.bits, "signed": number.signed, "fraction": number.fraction},
        "about": lines,
    }
    yield f"{json.dumps(facts, indent=1)[:-2]},\n".encode() + b' "tiles": [\n', 0
    yield from _nested(matrix, "[", "]", lambda _: "")
    yield b"\n]}\n", 0


def _nested(matrix: Matrix, left: str, right: str, comment: Callable[[Part], str]) -> Iterator[tuple[bytes, int]]:
    """Yield rows of tiles of rows of numbers, in brackets, with commas between two."""
    across = matrix.counts[1]
    for part in parts(matrix):
        i, j = part.tile
        begin = ",\n"
        if part.first == 0:
            begin = (",\n" if (i, j) != (0, 0) else "") + comment(part) + (left if j == 0 else "") + left
        rows = ",\n".join(f"{left}{', '.join(map(str, row))}{right}" for row in part.rows.tolist())
        end = (right + right * (j == across - 1)) if part.is_last else ""
        yield f"{begin}{rows}{end}".encode(), part.rows.size
