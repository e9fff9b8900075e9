"""The kernel that filters planes in pairs of tiles: one of them is the real part of what is transformed.

A real kernel does not mix real and imaginary parts, so two tiles of pixels are filtered as one of complex numbers. Lanes
are neighbouring columns, then, after a turn, neighbouring frequencies along the columns. So every transform is along an
axis that no vector is along. A line of N = 16 · R numbers is transformed in two steps (W. M. Gentleman, G. Sande, "Fast
Fourier transforms: for fun and profit", 1966), and what comes out stays where it is, in no order: the way back has the
same steps, from the last to the first.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
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
    Load = Callable[[Value], Complex]
    """``load(place)`` returns a vector of complex numbers: real parts, and imaginary ones."""
    Store = Callable[[Value, Complex], None]

SECOND = 16
"""Numbers of a line that the second step of its transform takes at a time: as many vectors turn whole."""
JOB_WORDS = ("pairs", "row", "out_row", "twiddles")
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
        return rows * pitch * self.vector_bytes, columns * turned * self.vector_bytes, max(self.sizes) * self.vector_bytes


def plane_kernel(spec: PlaneKernel) -> Kernel:
    """Return the kernel: ``f(image, weights, room, out, job, task)``; a task is the first pair, and the one behind."""
    return Kernel("planes", _build, (spec,), 6, speed_level=1)


class _Lines:
    """Transforms of lines of vectors of complex numbers, by way of a line of memory."""

    def __init__(self, b: Builder, spec: PlaneKernel, line: Value, fused: bool) -> None:
        self.b, self.spec, self.line, self.fused = b, spec, line, fused

    def vector(self, base: Value) -> tuple[Load, Store]:
        """Return how to read and write vectors by their numbers from an address."""
        b, spec = self.b, self.spec
        kind, half = b.vector(b.number(spec.dtype), spec.lanes), b.constant(spec.vector_bytes // 2)

        def load(place: Value) -> Complex:
            at = b.at(base, b.mul(place, spec.vector_bytes))
            return b.load(at, kind), b.load(b.at(at, half), kind)

        def store(place: Value, value: Complex) -> None:
            at = b.at(base, b.mul(place, spec.vector_bytes))
            b.store(value[0], at)
            b.store(value[1], b.at(at, half))

        return load, store

    def there(self, twiddles: Value, first: int, load: Load, done: Callable[[Value, list[Complex]], None]) -> None:
        """Transform a line of 16 · `first` numbers; `done` gets those of one residue of the frequency at a time."""
        b = self.b
        get, put = self.vector(self.line)
        with b.loop(b.constant(SECOND)) as j:
            values = self._spectrum([load(b.add(j, b.constant(i * SECOND))) for i in range(first)])
            for k, value in enumerate(values):
                put(b.add(j, b.constant(k * SECOND)), self._turned(value, twiddles, j, k, first))
        with b.loop(b.constant(first)) as k:
            at = b.mul(k, SECOND)
            done(k, self._spectrum([get(b.add(at, b.constant(i))) for i in range(SECOND)]))

    def back(self, twiddles: Value, first: int, values: Callable[[Value], list[Complex]], store: Store) -> None:
        """Do the same backwards, but for the factor 16 · `first`."""
        b = self.b
        with b.loop(b.constant(first)) as k:
            self.halfway(k, values(k))
        self.rest(twiddles, first, store)

    def halfway(self, k: Value, values: list[Complex]) -> None:
        """Transform the frequencies of one residue back."""
        b, (_, put) = self.b, self.vector(self.line)
        for i, value in enumerate(self._inverse(values)):
            put(b.add(b.mul(k, SECOND), b.constant(i)), value)

    def rest(self, twiddles: Value, first: int, store: Store) -> None:
        """Transform the line back that `halfway` has left."""
        b, (get, _) = self.b, self.vector(self.line)
        with b.loop(b.constant(SECOND)) as j:
            found = [get(b.add(j, b.constant(k * SECOND))) for k in range(first)]
            swapped = [self._turned(value[::-1], twiddles, j, k, first)[::-1] for k, value in enumerate(found)]
            for i, value in enumerate(self._inverse(swapped)):
                store(b.add(j, b.constant(i * SECOND)), value)

    def _spectrum(self, values: Sequence[Complex]) -> list[Complex]:
        re, im = zip(*values, strict=True)
        return list(zip(*both_spectra(self.b, list(re), list(im), self.fused), strict=True))

    def _inverse(self, values: Sequence[Complex]) -> list[Complex]:
        """Transform back: real and imaginary parts change places."""
        return [value[::-1] for value in self._spectrum([value[::-1] for value in values])]

    def _turned(self, value: Complex, twiddles: Value, j: Value, k: int, first: int) -> Complex:
        """Return value · exp(2πi · jk / N), by the table."""
        if k == 0:
            return value
        b, size = self.b, int(self.spec.dtype[1])
        at = b.at(twiddles, b.mul(b.add(b.mul(j, first), b.constant(k)), 2 * size))
        number = b.number(self.spec.dtype)
        cosine, sine = (b.splat(b.load(b.at(at, b.constant(i * size)), number), self.spec.lanes) for i in (0, 1))
        return self.product(value, (cosine, sine))

    def product(self, a: Complex, c: Complex) -> Complex:
        """Return a product of complex numbers."""
        b, fused = self.b, self.fused
        return (
            b.multiply_add(a[0], c[0], b.negated(b.times(a[1], c[1])), fused),
            b.multiply_add(a[0], c[1], b.times(a[1], c[0]), fused),
        )


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
        self.plane, self.turned = b["*room"], b.at(b["*room"], b.constant(tile))
        self.lines = _Lines(b, spec, b.at(b["*room"], b.constant(tile + turned)), target.has_fma)
        self.firsts = [n // SECOND for n in spec.sizes]
        self.twiddles = [b.at(b["*weights"], job["twiddles"])]
        self.twiddles.append(b.at(self.twiddles[0], b.constant(2 * spec.sizes[0] * self.size)))

    def filtered(self) -> None:
        """Read two tiles, transform, multiply, transform back, write."""
        self._pixels()
        self._down()
        self._across()
        self._up()
        self._results()

    def _words(self, tile: Value) -> dict[str, Value]:
        at = self.b.mul(tile, len(TILE_WORDS))
        return {w: self.b.entry(self.tiles, self.b.add(at, self.b.constant(i))) for i, w in enumerate(TILE_WORDS)}

    def _pixels(self) -> None:
        """Copy both tiles: one is the real part, the other the imaginary one; zeros around the image."""
        b, spec, lanes = self.b, self.spec, self.spec.lanes
        rows, columns = spec.sizes
        low, high, none = self.pair["first_column"], self.pair["last_column"], b.constant(0)
        with b.loop(b.constant(2)) as tile:
            words = self._words(tile)
            with b.loop(b.constant(rows)) as row:
                inside = b.inside(b.sub(row, words["first_row"]), b.sub(words["last_row"], words["first_row"]))
                start, stop = b.choose(inside, low, none), b.choose(inside, high, none)
                x = b.at(b["*x"], b.add(words["pixels"], b.mul(row, self.job["row"])))
                to = b.at(self.plane, b.mul(row, spec.pitches[0] * spec.vector_bytes))
                to = b.at(to, b.mul(tile, spec.vector_bytes // 2))
                whole = b.quotient(b.add(start, b.constant(lanes - 1)), lanes), b.quotient(stop, lanes)

                def copy(i: Value, masked: bool, x: Value = x, to: Value = to, start=start, stop=stop) -> None:
                    at, first = b.at(x, b.mul(i, lanes * self.size)), b.mul(i, lanes)
                    if masked:
                        mask = b.lanes_between(b.sub(start, first), b.sub(stop, first), lanes)
                        value = b.masked_load(at, self.kind, mask, b.zero(self.kind))
                    else:
                        value = b.load(at, self.kind)
                    b.store(value, b.at(to, b.mul(i, spec.vector_bytes)))

                last = b.constant(columns // lanes)
                with b.loop(b.smaller(whole[0], last)) as i:
                    copy(i, True)
                with b.loop(whole[1], whole[0]) as i:
                    copy(i, False)
                with b.loop(last, b.larger(whole[0], whole[1])) as i:
                    copy(i, True)

    def _down(self) -> None:
        """Transform along the columns, and turn: rows are columns of the image then."""
        b, spec, lanes = self.b, self.spec, self.spec.lanes
        pitch, turned = spec.pitches
        with b.loop(b.constant(spec.sizes[1] // lanes)) as block:
            load, _ = self.lines.vector(b.at(self.plane, b.mul(block, spec.vector_bytes)))
            _, store = self.lines.vector(b.at(self.turned, b.mul(block, lanes * turned * spec.vector_bytes)))

            def done(k: Value, values: list[Complex], store: Store = store) -> None:
                for part in range(0, SECOND, lanes):
                    columns = [b.transpose(list(each)) for each in zip(*values[part : part + lanes], strict=True)]
                    to = b.add(b.mul(k, SECOND // lanes), b.constant(part // lanes))
                    for i, value in enumerate(zip(*columns, strict=True)):
                        store(b.add(to, b.constant(i * turned)), value)

            self.lines.there(self.twiddles[0], self.firsts[0], lambda j, load=load: load(b.mul(j, pitch)), done)

    def _across(self) -> None:
        """Transform along the rows, multiply with the kernel's spectrum, transform back."""
        b, spec = self.b, self.spec
        (_, turned), first = spec.pitches, self.firsts[1]
        spectrum = b.at(b["*weights"], self.pair["spectrum"])
        with b.loop(b.constant(spec.sizes[0] // spec.lanes)) as block:
            load, store = self.lines.vector(b.at(self.turned, b.mul(block, spec.vector_bytes)))
            taken, _ = self.lines.vector(b.at(spectrum, b.mul(block, spec.sizes[1] * spec.vector_bytes)))

            def done(k: Value, values: list[Complex], taken: Load = taken) -> None:
                at = b.mul(k, SECOND)
                self.lines.halfway(
                    k, [self.lines.product(v, taken(b.add(at, b.constant(i)))) for i, v in enumerate(values)]
                )

            self.lines.there(self.twiddles[1], first, lambda j, load=load: load(b.mul(j, turned)), done)
            self.lines.rest(self.twiddles[1], first, lambda j, v, store=store: store(b.mul(j, turned), v))

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
        b, spec, lanes = self.b, self.spec, self.spec.lanes
        pitch, turned = spec.pitches
        with b.loop(self._blocks()) as block:
            load, _ = self.lines.vector(b.at(self.turned, b.mul(self._column(block), turned * spec.vector_bytes)))
            _, store = self.lines.vector(b.at(self.plane, b.mul(block, spec.vector_bytes)))

            def values(k: Value, load: Load = load) -> list[Complex]:
                found: list[Complex] = []
                for part in range(0, SECOND, lanes):
                    at = b.add(b.mul(k, SECOND // lanes), b.constant(part // lanes))
                    columns = zip(*(load(b.add(at, b.constant(i * turned))) for i in range(lanes)), strict=True)
                    found += zip(*(b.transpose(list(each)) for each in columns), strict=True)
                return found

            self.lines.back(
                self.twiddles[0], self.firsts[0], values, lambda j, v, store=store: store(b.mul(j, pitch), v)
            )

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
            source = b.at(self.plane, b.mul(tiles.index, spec.vector_bytes // 2))
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
