"""The kernel that filters planes in pairs of tiles: one of them is the real part of what is transformed.

A real kernel does not mix real and imaginary parts, so two tiles of pixels are filtered as one of complex numbers.
Lanes are neighbouring columns, then, after a turn, neighbouring frequencies along the columns. So every transform is
along an axis that no vector is along.

A line of N = 16 · R numbers is transformed in two steps, of R and of 16 numbers at a time (W. M. Gentleman, G. Sande,
"Fast Fourier transforms: for fun and profit", 1966). Frequencies stay where they come out, the frequency k + R · i at
16 · k + i: a spectrum that is multiplied needs no order. The way back has the same steps, from the last to the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...engine.numbers import element_bytes
from ...importing import importing
from ..implicit.tiles.epilogue import finish
from .butterflies import both_spectra

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ..implicit.tiles.epilogue import Epilogue

    Complex = tuple[Value, Value]
    """A vector of complex numbers: real parts, and imaginary ones."""

SECOND = 16
"""Numbers of a line that the second step of its transform takes at a time: as many vectors turn whole."""
_AHEAD = 8
"""Rows of pixels between those that are read and those that are asked for: a row of a tile is too short for the CPU to
foresee the next one."""
JOB_WORDS = ("pairs", "row", "out_row")
TILE_WORDS = ("pixels", "first_row", "last_row", "results", "height")
PAIR_WORDS = (
    "spectrum",
    "bias",
    "flag",
    "first_column",
    "last_column",
    "width",
    *(f"{word}{i}" for i in (0, 1) for word in TILE_WORDS),
)


class PlaneKernel(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    dtype : str
        Of pixels and results, as `Builder.number` calls it.
    lanes : int
        VL.
    sizes : (int, int)
        Rows and columns of a tile, multiples of 16.
    epilogue : Epilogue
    """

    dtype: str
    lanes: int
    sizes: tuple[int, int]
    epilogue: Epilogue

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector of complex numbers."""
        return 2 * self.lanes * int(self.dtype[1])

    @property
    def pitches(self) -> tuple[int, int]:
        """Vectors from one row to the next, of tiles and of turned ones: odd numbers, so that rows share no sets."""
        rows, columns = self.sizes
        return columns // self.lanes | 1, rows // self.lanes | 1

    @property
    def room_bytes(self) -> tuple[int, int, int]:
        """Bytes of a tile's pixels, of the turned ones, and of a line of vectors."""
        (rows, columns), (pitch, turned) = self.sizes, self.pitches
        return (
            rows * pitch * self.vector_bytes,
            columns * turned * self.vector_bytes,
            max(self.sizes) * self.vector_bytes,
        )


def plane_kernel(spec: PlaneKernel) -> Kernel:
    """Return the kernel: ``f(image, weights, room, out, job, task)``; a task is the first pair, and the one behind."""
    return Kernel("planes", _build, (spec,), 6, speed_level=1)


class _Vectors(NamedTuple):
    """Vectors of complex numbers in memory, `step` bytes apart."""

    b: Builder
    base: Value
    step: int
    kind: Value

    def behind(self, number: Value) -> _Vectors:
        """Return those from one on."""
        return self._replace(base=self.b.at(self.base, self.b.mul(number, self.step)))

    def load(self, number: int) -> Complex:
        """Return one of them."""
        re, im = self._places(number)
        return self.b.load(re, self.kind), self.b.load(im, self.kind)

    def store(self, number: int, value: Complex) -> None:
        """Write one of them."""
        for part, place in zip(value, self._places(number), strict=True):
            self.b.store(part, place)

    def _places(self, number: int) -> list[Value]:
        half = self.kind.count * element_bytes(self.kind)
        return [self.b.at(self.base, self.b.constant(number * self.step + part * half)) for part in (0, 1)]


class _Axis(NamedTuple):
    """Transforms of lines of 16 · `first` vectors, by way of a line of memory.

    Parameters
    ----------
    b : Builder
    first : int
        Numbers that the first step takes at a time.
    line : _Vectors
    twiddles : Value
        The address of ``exp(2πi · jk / N)``, for each of 16 j those of all k.
    fused : bool
        Whether a product and a sum are rounded once.
    """

    b: Builder
    first: int
    line: _Vectors
    twiddles: Value
    fused: bool

    def there(self, source: _Vectors, done: Callable[[Value, list[Complex]], None]) -> None:
        """Transform a line; `done` gets the frequencies k, k + R, k + 2 R, … of each k."""
        b = self.b
        with b.loop(b.constant(SECOND)) as j:
            numbers, line = source.behind(j), self.line.behind(j)
            found = self._spectrum([numbers.load(i * SECOND) for i in range(self.first)])
            for k, value in enumerate(self._turned(j, found)):
                line.store(k * SECOND, value)
        with b.loop(b.constant(self.first)) as k:
            line = self.line.behind(b.mul(k, SECOND))
            done(k, self._spectrum([line.load(i) for i in range(SECOND)]))

    def halfway(self, k: Value, values: list[Complex]) -> None:
        """Begin to transform back, with the frequencies that `there` has handed out for a k."""
        line = self.line.behind(self.b.mul(k, SECOND))
        for i, value in enumerate(_swapped(self._spectrum(_swapped(values)))):
            line.store(i, value)

    def back(self, target: _Vectors) -> None:
        """Transform a line back that is halfway there for every k, but for the factor N."""
        b = self.b
        with b.loop(b.constant(SECOND)) as j:
            line, numbers = self.line.behind(j), target.behind(j)
            found = self._turned(j, _swapped([line.load(k * SECOND) for k in range(self.first)]))
            for i, value in enumerate(_swapped(self._spectrum(found))):
                numbers.store(i * SECOND, value)

    def product(self, a: Complex, c: Complex) -> Complex:
        """Return a product of complex numbers."""
        b, fused = self.b, self.fused
        return (
            b.multiply_add(a[0], c[0], b.negated(b.times(a[1], c[1])), fused),
            b.multiply_add(a[0], c[1], b.times(a[1], c[0]), fused),
        )

    def _spectrum(self, values: Sequence[Complex]) -> list[Complex]:
        re, im = zip(*values, strict=True)
        return list(zip(*both_spectra(self.b, list(re), list(im), self.fused), strict=True))

    def _turned(self, j: Value, values: Sequence[Complex]) -> list[Complex]:
        """Return each value k times ``exp(2πi · jk / N)``."""
        b, kind = self.b, self.line.kind
        size, found = element_bytes(kind), [values[0]]
        row = b.at(self.twiddles, b.mul(j, 2 * self.first * size))
        for k, value in enumerate(values[1:], 1):
            parts = [b.load(b.at(row, b.constant((2 * k + part) * size)), kind.element) for part in (0, 1)]
            found.append(self.product(value, (b.splat(parts[0], kind.count), b.splat(parts[1], kind.count))))
        return found


def _swapped(values: Sequence[Complex]) -> list[Complex]:
    """Return real and imaginary parts in each other's place: then a transform is one back."""
    return [(im, re) for re, im in values]


def _build(name: str, target: Target, spec: PlaneKernel) -> str:
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*x *weights *room *out *job *task", target)
    job = {word: b.entry(b["*job"], b.constant(i)) for i, word in enumerate(JOB_WORDS)}
    first, stop = (b.entry(b["*task"], b.constant(i)) for i in range(2))
    pairs = b.address(job["pairs"])
    with b.loop(stop, first) as number:
        at = b.mul(number, len(PAIR_WORDS))
        pair = {word: b.entry(pairs, b.add(at, b.constant(i))) for i, word in enumerate(PAIR_WORDS)}
        tiles = b.at(pairs, b.mul(b.add(at, b.constant(PAIR_WORDS.index(f"{TILE_WORDS[0]}0"))), 8))
        _Pair(b, target, spec, job, pair, tiles).filtered()
    return b.finish()


class _Pair:
    """The code for a pair of tiles."""

    def __init__(
        self, b: Builder, target: Target, spec: PlaneKernel, job: dict[str, Value], pair: dict[str, Value], tiles: Value
    ) -> None:
        self.b, self.target, self.spec, self.job, self.pair, self.tiles = b, target, spec, job, pair, tiles
        self.kind, self.size = b.vector(b.number(spec.dtype), spec.lanes), int(spec.dtype[1])
        tile, turned, _ = spec.room_bytes
        pitch, turned_pitch = spec.pitches
        self.plane = self._vectors(b["*room"], 0, pitch)
        self.turned = self._vectors(b["*room"], tile, turned_pitch)
        line = self._vectors(b["*room"], tile + turned, 1)
        firsts = [n // SECOND for n in spec.sizes]
        down = b["*weights"]
        across = b.at(down, b.constant(2 * spec.sizes[0] * self.size))
        fused = target.has_fma
        self.down, self.across = (
            _Axis(b, first, line, at, fused) for first, at in zip(firsts, (down, across), strict=True)
        )

    def filtered(self) -> None:
        """Read two tiles, transform, multiply, transform back, write."""
        self._pixels()
        self._down()
        self._across()
        self._up()
        self._results()

    def _vectors(self, base: Value, offset: int, pitch: int) -> _Vectors:
        """Return the first vectors of rows that are so many vectors apart."""
        return _Vectors(self.b, self.b.at(base, self.b.constant(offset)), pitch * self.spec.vector_bytes, self.kind)

    def _words(self, tile: Value) -> dict[str, Value]:
        at = self.b.mul(tile, len(TILE_WORDS))
        return {w: self.b.entry(self.tiles, self.b.add(at, self.b.constant(i))) for i, w in enumerate(TILE_WORDS)}

    def _pixels(self) -> None:
        """Copy both tiles: one is the real part, the other the imaginary one; zeros around the image."""
        b, none, lanes = self.b, self.b.constant(0), self.spec.lanes
        rows, columns = self.spec.sizes
        with b.loop(b.constant(rows)) as row, b.loop(b.constant(2)) as tile:
            words = self._words(tile)
            inside = b.inside(b.sub(row, words["first_row"]), b.sub(words["last_row"], words["first_row"]))
            first, last = (b.choose(inside, self.pair[f"{end}_column"], none) for end in ("first", "last"))
            source = b.at(b["*x"], b.add(words["pixels"], b.mul(row, self.job["row"])))
            to = b.at(self.plane.behind(row).base, b.mul(tile, self.spec.vector_bytes // 2))
            all_of_them = b.constant(columns // lanes)
            whole = b.quotient(b.add(first, b.constant(lanes - 1)), lanes)
            end = b.larger(whole, b.quotient(last, lanes))
            for start, stop, edges in (
                (none, b.smaller(whole, all_of_them), (first, last)),
                (whole, end, None),
                (end, all_of_them, (first, last)),
            ):
                with b.loop(stop, start) as i:
                    self._copy(b.mul(i, lanes), source, b.at(to, b.mul(i, self.spec.vector_bytes)), edges)

    def _copy(self, column: Value, source: Value, to: Value, edges: tuple[Value, Value] | None) -> None:
        """Copy a vector of pixels, of which those between two columns are in the image, or all."""
        b, at = self.b, self.b.at(source, self.b.mul(column, self.size))
        if edges is None:
            b.prefetch(b.at(at, b.mul(self.job["row"], _AHEAD)))
            b.store(b.load(at, self.kind), to)
            return
        mask = b.lanes_between(b.sub(edges[0], column), b.sub(edges[1], column), self.spec.lanes)
        b.store(b.masked_load(at, self.kind, mask, b.zero(self.kind)), to)

    def _down(self) -> None:
        """Transform along the columns, and turn: rows are columns of the image then."""
        b, spec, lanes = self.b, self.spec, self.spec.lanes
        with b.loop(b.constant(spec.sizes[1] // lanes)) as block:
            rows = self.turned.behind(b.mul(block, lanes))

            def done(k: Value, values: list[Complex], rows: _Vectors = rows) -> None:
                for part in range(0, SECOND, lanes):
                    columns = [b.transpose(list(each)) for each in zip(*values[part : part + lanes], strict=True)]
                    to = self._beside(rows, b.add(b.mul(k, SECOND // lanes), b.constant(part // lanes)))
                    for i, value in enumerate(zip(*columns, strict=True)):
                        to.store(i, value)

            self.down.there(self._beside(self.plane, block), done)

    def _across(self) -> None:
        """Transform along the rows, multiply with the kernel's spectrum, transform back."""
        b, spec = self.b, self.spec
        spectrum = self._vectors(b.at(b["*weights"], self.pair["spectrum"]), 0, 1)
        with b.loop(b.constant(spec.sizes[0] // spec.lanes)) as block:
            rows, factors = self._beside(self.turned, block), spectrum.behind(b.mul(block, spec.sizes[1]))

            def done(k: Value, values: list[Complex], factors: _Vectors = factors) -> None:
                some = factors.behind(b.mul(k, SECOND))
                self.across.halfway(k, [self.across.product(v, some.load(i)) for i, v in enumerate(values)])

            self.across.there(rows, done)
            self.across.back(rows)

    def _beside(self, rows: _Vectors, number: Value) -> _Vectors:
        """Return a vector of each row instead of the first."""
        return rows._replace(base=self.b.at(rows.base, self.b.mul(number, self.spec.vector_bytes)))

    def _column(self, block: Value) -> Value:
        """Return the first column of a vector of results: the last one ends with the tile, and repeats some."""
        return self.b.smaller(
            self.b.mul(block, self.spec.lanes), self.b.sub(self.pair["width"], self.b.constant(self.spec.lanes))
        )

    def _blocks(self) -> Value:
        lanes = self.spec.lanes
        return self.b.quotient(self.b.add(self.pair["width"], self.b.constant(lanes - 1)), lanes)

    def _up(self) -> None:
        """Turn, and transform back along the columns."""
        b, lanes = self.b, self.spec.lanes
        with b.loop(self._blocks()) as block:
            rows = self.turned.behind(self._column(block))
            with b.loop(b.constant(self.down.first)) as k:
                found: list[Complex] = []
                for part in range(0, SECOND, lanes):
                    some = self._beside(rows, b.add(b.mul(k, SECOND // lanes), b.constant(part // lanes)))
                    columns = zip(*(some.load(i) for i in range(lanes)), strict=True)
                    found += zip(*(b.transpose(list(each)) for each in columns), strict=True)
                self.down.halfway(k, found)
            self.down.back(self._beside(self.plane, block))

    def _results(self) -> None:
        """Finish the results, and write them; flag a pair of which one is not finite."""
        b, spec, none = self.b, self.spec, self.b.constant(0)
        offset = None
        if spec.epilogue.bias:
            bias = b.load(b.at(b["*weights"], self.pair["bias"]), b.number(spec.dtype))
            offset = b.splat(bias, spec.lanes)
        blocks = self._blocks()
        with b.accumulate(none, b.constant(2), [b.zero(self.kind)]) as tiles:
            words = self._words(tiles.index)
            source = b.at(self.plane.base, b.mul(tiles.index, spec.vector_bytes // 2))
            with b.accumulate(none, words["height"], tiles.values) as rows:
                out = b.at(b["*out"], b.add(words["results"], b.mul(rows.index, self.job["out_row"])))
                line = b.at(source, b.mul(rows.index, spec.pitches[0] * spec.vector_bytes))
                with b.accumulate(none, blocks, rows.values) as turns:
                    value = b.load(b.at(line, b.mul(turns.index, spec.vector_bytes)), self.kind)
                    if offset is not None:
                        value = b.plus(value, offset)
                    turns.values = [b.plus(turns.values[0], value)]
                    to = b.at(out, b.mul(self._column(turns.index), self.size))
                    b.store(finish(b, self.target, spec.epilogue, value), to)
                rows.values = turns.values
            tiles.values = rows.values
        wrong = b.times(tiles.values[0], b.zero(self.kind))
        b.store(b.any_nan(wrong), b.at(b["*room"], self.pair["flag"]))
