"""The microkernel for groups of few channels, which unrolls whole windows: a tile has several rows of the map.

Channels lie side by side in memory, and so do filters. A tile is R rows × MR neighbouring positions of one vector of
filters. A vector of pixels is loaded once and serves every window of the tile that covers it. Where each filter reads
one channel, that is all, and where registers are many, the weights of all taps stay in them while the map passes. Where
a group has several, a loop goes over them: each lane gets the same channel of its own group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....engine.compiler import Kernel
from ....importing import importing
from .epilogue import Epilogue, finish, narrow, scale_vectors
from .nest import Nest

if TYPE_CHECKING:
    from ....engine.numbers import Value
    from ....engine.target import Target


class WindowPart(NamedTuple):
    """Tiles of a row that see the padding alike.

    Parameters
    ----------
    positions : int
        MR: neighbouring positions.
    first, stop : int
        Pixels of a line of the tile, counted from its first tap, that lie in the image: first <= j < stop. The others
        are padding, and are skipped.
    shown : tuple of int
        Where the padding shows pixels of the image: which pixel of the line stands for each, counted likewise.
    """

    positions: int
    first: int
    stop: int
    shown: tuple[int, ...] = ()


class WindowTile(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels, and of weights and sums, as `Builder.number` calls it. Pixels of a byte become float32, in which
        products of bytes and sums of a few hundred are exact.
    offset : int
        What is added to each pixel of a byte.
    lanes : int
        VL.
    filters : int
        At least VL. The last vector reaches back to be full: its filters may be those of the one before, too.
    group : (int, int)
        Channels and filters of a group. Where they are several, filters are a multiple of VL, or as many as channels
        and a divisor of VL.
    vectors : int
        NV: vectors of filters for which a pass over some rows is made.
    keeps : bool
        Whether the weights of the one vector of a pass stay in registers.
    rows : int
        R: rows of the map.
    kernel, stride, dilation : (int, int)
        Of the window, rows and columns.
    pixel_step, out_step : int
        Bytes between neighbouring pixels of a row, of the image and of the result.
    guarded : tuple of int
        Lines of the tile, counted from its first, that lie outside of the image for some rows of the map.
    parts : tuple of WindowPart
        Of a row, from the left.
    epilogue : Epilogue
        What happens to the sums on their way out.
    moves : bool
        Whether lines of the border are lines of the image.
    """

    dtype: str
    offset: int
    lanes: int
    filters: int
    group: tuple[int, int]
    vectors: int
    keeps: bool
    rows: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pixel_step: int
    out_step: int
    guarded: tuple[int, ...]
    parts: tuple[WindowPart, ...]
    epilogue: Epilogue
    moves: bool = False


JOB = ["rows", "x_image", "x_row", "out_image", "out_row", "height", "block", "scales"]
MOVING_JOB = [*JOB, "moved"]
"""With `mapped.moved_rows`: a row's y counts from the first line of the padding there."""
ROW = ["x", "out", "y"]
"""Of a table's row, before how many tiles each part has."""
_ALIGNED = 3
"""Vectors of channels from which on one more is computed for whole lines of the cache."""

_MEETING = 4
"""Vectors from one tap to the next of which a multiple lets taps meet in few sets of the cache."""
_NEAR = 16
"""Bytes within which every vector unit picks quickly."""


def window_lanes(tile: WindowTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("window_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: WindowTile) -> str:
    return _Writer(name, target, tile).write()


class _Pixels(NamedTuple):
    """Where pixels lie, and how lanes get theirs: one by one, one for all, or by numbers of 4 bytes."""

    at: Value
    spread: bool = False
    words: Value | None = None


class _Writer:
    def __init__(self, name: str, target: Target, tile: WindowTile) -> None:
        with importing:
            from ....engine.builder import Builder  # a kernel that is kept is not written again

        # Plain numbers for addresses: of what LLVM knows to be apart from all else, it would load ahead.
        self.b = Builder(name, "x w bias out *job *task")
        self.target, self.tile = target, tile
        b = self.b
        self.pixel_size = b.bytes_of(tile.dtype)
        self.widened = self.pixel_size == 1
        number = "f4" if self.widened else tile.dtype
        self.size = b.bytes_of(number)
        self.kind, self.pixels = (b.vector(b.number(name), tile.lanes) for name in (number, tile.dtype))
        self.nest = Nest(b, MOVING_JOB if tile.moves else JOB, plain=True)
        self.job = self.nest.job
        self.packed = packed_filters(tile.filters, tile.lanes, tile.group[1]) * self.size

    def write(self) -> str:
        b, tile, job, task = self.b, self.tile, self.job, self.nest.task
        table = b.address(job["rows"])
        with (
            self.nest.over("image", order="x out") as layer,
            b.loop(task["row1"], task["row0"], job["block"]) as first,
        ):
            stop = b.smaller(b.add(first, job["block"]), task["row1"])
            shift = self._shift()
            vectors = b.quotient(b.add(shift, b.constant(tile.filters + tile.lanes - 1)), tile.lanes)
            with b.loop(vectors, None, tile.vectors) as vector:
                held = self._weights(self._weights_at(self._filter(vector, shift))) if tile.keeps else {}
                with b.loop(stop, first) as number:
                    entry = b.mul(number, len(ROW) + len(tile.parts))
                    x, out, y, *counts = (
                        b.entry(table, b.add(entry, b.constant(i))) for i in range(len(ROW) + len(tile.parts))
                    )
                    x, out = b.at(layer["x"], x), b.at(layer["out"], out)
                    for part, count in zip(tile.parts, counts, strict=True):
                        x_tile = part.positions * tile.stride[1] * tile.pixel_step
                        out_tile = part.positions * tile.out_step
                        with b.loop(count) as i:
                            at = b.at(x, b.mul(i, x_tile)), b.at(out, b.mul(i, out_tile))
                            if held:
                                self._tile(part, *at, y, self._filter(vector, shift), held)
                            else:
                                last = b.smaller(b.add(vector, b.constant(tile.vectors)), vectors)
                                with b.loop(last, vector) as v:
                                    self._tile(part, *at, y, self._filter(v, shift), {})
                        x, out = b.at(x, b.mul(count, x_tile)), b.at(out, b.mul(count, out_tile))
        return b.finish()

    def _shift(self) -> Value:
        """Return by how many channels the second vector starts earlier, so that it starts at a whole vector."""
        b, tile = self.b, self.tile
        nbytes = tile.lanes * self.size
        if tile.group[1] > 1 or not shifts(tile.lanes, self.pixel_size, tile.filters, tile.pixel_step):
            return b.constant(0)
        return b.quotient(b.sub(b["x"], b.mul(b.quotient(b["x"], nbytes), nbytes)), self.size)

    def _filter(self, vector: Value, shift: Value) -> Value:
        """Return the first filter of a vector."""
        b, tile = self.b, self.tile
        first = b.sub(b.mul(vector, tile.lanes), shift)
        return b.larger(b.smaller(first, b.constant(tile.filters - tile.lanes)), b.constant(0))

    def _weights(self, at: Value, rows: set[int] | None = None) -> dict[tuple[int, int], Value]:
        """Return the weights of a vector of filters, from an address on, by row and column of the window."""
        b, (height, width) = self.b, self.tile.kernel
        return {
            (k, kx): b.load(b.at(at, b.constant((k * width + kx) * self.packed)), self.kind)
            for k in range(height)
            if rows is None or k in rows
            for kx in range(width)
        }

    def _weights_at(self, first: Value) -> Value:
        """Return where the weights of a vector of filters start, of the first channel of their groups."""
        return self.b.at(self.b.address(self.b["w"]), self.b.mul(first, self.size))

    def _tile(
        self,
        part: WindowPart,
        x: Value,
        out: Value,
        y: Value,
        first: Value,
        held: dict[tuple[int, int], Value],
    ) -> None:
        """Compute one tile of one vector of filters."""
        b, tile = self.b, self.tile
        initial = b.zero(self.kind)
        if tile.epilogue.bias and not self.widened:
            initial = b.load(b.at(b.address(b["bias"]), b.mul(first, self.size)), self.kind)
        sums, weights = [initial] * (tile.rows * part.positions), self._weights_at(first)
        x = b.at(x, b.mul(self._channel(first), self.pixel_size))
        for i in needed(tile.rows, tile.kernel[0], tile.stride[0], tile.dilation[0]):
            line = b.at(x, b.mul(self.job["x_row"], i))
            if i in tile.guarded and tile.moves:
                line = b.at(line, b.entry(b.address(self.job["moved"]), b.add(y, b.constant(i))))
                sums = self._line(part, i, line, weights, held, sums)
            elif i in tile.guarded:
                there = b.inside(b.add(y, b.constant(i)), self.job["height"])
                with b.only_if(there, sums) as inside:
                    inside.values[:] = self._line(part, i, line, weights, held, sums)
                sums = inside.values
            else:
                sums = self._line(part, i, line, weights, held, sums)
        self._store(part, sums, out, first)

    def _channel(self, first: Value) -> Value:
        """Return the first channel that a vector of filters reads."""
        b, (channels, filters) = self.b, self.tile.group
        return first if channels == filters <= self.tile.lanes else b.mul(b.quotient(first, filters), channels)

    def _line(
        self,
        part: WindowPart,
        i: int,
        line: Value,
        weights: Value,
        held: dict[tuple[int, int], Value],
        sums: list[Value],
    ) -> list[Value]:
        """Multiply line i of the image, channel by channel of the groups."""
        b, tile = self.b, self.tile
        channels, filters = tile.group
        if channels == filters == 1:
            return self._multiplied(part, i, _Pixels(line), weights, held, sums)
        with b.accumulate(b.constant(0), b.constant(channels), sums) as state:
            if filters >= tile.lanes:
                pixels = _Pixels(b.at(line, b.mul(state.index, self.pixel_size)), spread=True)
            else:
                pixels = _Pixels(line, words=self._words(state.index))
            at = b.at(weights, b.mul(state.index, tile.kernel[0] * tile.kernel[1] * self.packed))
            state.values[:] = self._multiplied(part, i, pixels, at, {}, state.values)
        return state.values

    def _words(self, channel: Value) -> Value:
        """Return which 4 bytes of a vector of pixels each 4 bytes of the lanes are multiplied with."""
        b, (channels, _), each = self.b, self.tile.group, self.size // 4
        places = [divmod(word, each) for word in range(self.tile.lanes * each)]
        return b.counted([lane // channels * channels * each + part for lane, part in places], b.mul(channel, each))

    def _multiplied(
        self,
        part: WindowPart,
        i: int,
        line: _Pixels,
        weights: Value,
        held: dict[tuple[int, int], Value],
        sums: list[Value],
    ) -> list[Value]:
        """Multiply line i of one channel of each group, each pixel for all windows that cover it."""
        b, tile, values = self.b, self.tile, list(sums)
        meeting = [(r, *divmod(i - r * tile.stride[0], tile.dilation[0])) for r in range(tile.rows)]
        covered = [(r, k) for r, k, rest in meeting if not rest and 0 <= k < tile.kernel[0]]
        of_line = held or self._weights(weights, {k for _, k in covered})
        columns: dict[int, list[tuple[int, int]]] = {}
        for m in range(part.positions):
            for kx in range(tile.kernel[1]):
                columns.setdefault(m * tile.stride[1] + kx * tile.dilation[1], []).append((m, kx))
        for j in sorted(columns):
            if part.first <= j < part.stop:
                shown = part.shown[j] if part.shown else j
                pixel = self._pixel(line._replace(at=b.at(line.at, b.constant(shown * tile.pixel_step))))
                for m, kx in columns[j]:
                    for r, k in covered:
                        n = r * part.positions + m
                        values[n] = b.multiply_add(pixel, of_line[k, kx], values[n], self.target.has_fma)
        return b.settled(values, self.target.register)

    def _pixel(self, pixels: _Pixels) -> Value:
        """Return a vector of pixels as the numbers that are multiplied."""
        b, tile = self.b, self.tile
        if pixels.spread:
            return b.splat(b.load(pixels.at, b.number(tile.dtype)), tile.lanes)
        pixel = b.load(pixels.at, self.pixels)
        if pixels.words is not None:
            return b.picked_by(pixel, pixels.words, near=tile.group[0] * self.size <= _NEAR)
        if not self.widened:
            return pixel
        words = b.grow(pixel, tile.dtype, "i4", b.vector(b.number("i4"), tile.lanes))
        number = b.to_float("i4", words)
        return b.plus(number, b.numbers(tile.offset, self.kind)) if tile.offset else number

    def _store(self, part: WindowPart, sums: list[Value], out: Value, first: Value) -> None:
        """Finish the sums and write them, once."""
        b, tile, epilogue = self.b, self.tile, self.tile.epilogue
        at = b.add(b.mul(first, 4), self.job["scales"])
        (factor,) = scale_vectors(b, epilogue, b.at(b.address(b["bias"]), at), tile.lanes, 1)
        out = b.at(out, b.mul(first, b.bytes_of(epilogue.result)))
        if self.widened:
            sums = [b.whole(each) for each in sums]
            if epilogue.bias:
                bias = b.load(b.at(b.address(b["bias"]), b.mul(first, 4)), sums[0].type)
                sums = [b.sum("i4", each, bias) for each in sums]
        for r in range(tile.rows):
            line = b.at(out, b.mul(self.job["out_row"], r))
            for m in range(part.positions):
                value = finish(b, self.target, epilogue, sums[r * part.positions + m], factor)
                b.store(narrow(b, epilogue, value), b.at(line, b.constant(m * tile.out_step)))


def shifts(lanes: int, size: int, channels: int, pixel_step: int) -> bool:
    """Return whether vectors of channels are moved to whole vectors of memory, for which there may be one more."""
    return size > 1 and pixel_step % (lanes * size) == 0 and channels >= _ALIGNED * lanes


def packed_filters(filters: int, lanes: int, of_group: int) -> int:
    """Return the filters that a tap of the packed weights has room for: whole vectors.

    Where groups are several, their taps are many: they should not be whole pages apart, and meet in few sets of the
    first-level cache.
    """
    vectors = -(-filters // lanes)
    return (vectors + (of_group > 1 and vectors % _MEETING == 0)) * lanes


def needed(rows: int, kernel: int, stride: int, dilation: int) -> list[int]:
    """Return the lines of the image that so many rows of the map need, counted from the first."""
    return sorted({r * stride + k * dilation for r in range(rows) for k in range(kernel)})
