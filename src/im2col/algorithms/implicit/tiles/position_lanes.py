"""The microkernel whose lanes are positions: each weight is broadcast against vectors of pixels.

A tile is F filters × R rows of the map × NV vectors of neighbouring positions, kept in registers while the loops over
the taps run. It suits layers with few filters, or few taps: nothing has to be transposed on the way out, and a vector
of pixels that several rows of the tile need is loaded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ....engine.compiler import Kernel
from ....importing import importing
from .border_loads import BorderLoads, loads_of
from .epilogue import finish, narrow
from .halves import in_halves, in_order, keeps_halves
from .nest import Nest
from .position_tile import JOB, MAPPED_JOB, ROW, PositionTile, holds, passes, pixel_vectors, unrolls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ....engine.numbers import Value
    from ....engine.target import Target
    from .mapped import Border
    from .nest import Place


class _Pass(NamedTuple):
    """One pass over the columns of a window, of a tile: some of its rows, and where their lines of the image start.

    `rows` are those of the window, `lines` are by their number from the first that the tile reads. `row` and `column`
    are the tile's, `masked` says whether pixels may be missing.
    """

    rows: range
    lines: dict[int, Value]
    weights: Value
    row: dict[str, Value]
    column: Value
    masked: bool


def position_lanes(tile: PositionTile) -> Kernel:
    """Return the kernel of a tile, with the loops around it."""
    return Kernel("position_lanes", _build, (tile,), 6, speed_level=1)


def _build(name: str, target: Target, tile: PositionTile) -> str:
    return _Writer(name, target, tile).write()


class _Writer:
    def __init__(self, name: str, target: Target, tile: PositionTile) -> None:
        with importing:
            from ....engine.builder import Builder  # a kernel that is kept is not written again

        # Plain numbers for addresses: of what LLVM knows to be apart from all else, it would load ahead.
        self.b = Builder(name, "x w bias out *job *task", target)
        self.target, self.tile = target, tile
        b = self.b
        self.size = b.bytes_of(tile.dtype)
        self.kind = b.vector(b.number(tile.dtype), tile.lanes)
        self.nest = Nest(b, MAPPED_JOB if tile.borders or tile.moves else JOB, plain=True)
        self.job = self.nest.job
        self.border: BorderLoads | None = None
        self.halves = keeps_halves(tile.lanes, self.size, tile.stride[1], tile.shuffled)
        self.planes, self.rows, self.zeros, self.masks = (b.address(self.job[word]) for word in JOB[:4])
        self.loaded = b.vector(b.number(tile.dtype), self._loaded_lanes)
        lines = max(len(self._needed(rows)) for rows in self._passes)
        loads = loads_of(tile.borders[0], self._loaded_lanes) * lines if self._writes_lines else 0
        self.room = b.room(self.loaded, loads) if loads else None

    def write(self) -> str:
        b, nest = self.b, self.nest
        bias_bytes = self.tile.filters * b.bytes_of(self.tile.epilogue.accumulator)
        with (
            nest.over("image", "group", order="x out w bias") as layer,
            b.loop(nest.task["row1"], nest.task["row0"]) as number,
        ):
            first = b.mul(number, len(ROW))
            row = {word: b.entry(self.rows, b.add(first, b.constant(i))) for i, word in enumerate(ROW)}
            plain = b.sub(row["plain1"], row["plain0"])
            row_at = layer | {"x": b.at(layer["x"], row["x"]), "out": b.at(layer["out"], row["out"])}
            with nest.over("block", order="w bias out", at=row_at, bias=bias_bytes) as at:
                if self.tile.borders:
                    ends = (row["plain0"], None), (row["tiles"], row["plain1"])
                    for border, (stop, start) in zip(self.tile.borders, ends, strict=False):
                        with b.loop(stop, start) as i:
                            self._tile(row, i, at, masked=False, border=border)
                    if len(self.tile.borders) > 1:
                        with b.loop(row["plain1"], row["plain0"]) as i:
                            self._tile(row, i, at, masked=False)
                elif self.tile.spread > 1 or not self.tile.masked:
                    # Beside what it takes to store apart, masks cost nothing: half the code will do.
                    with b.loop(row["tiles"]) as i:
                        self._tile(row, i, at, masked=self.tile.masked)
                else:
                    with b.loop(b.sub(row["tiles"], plain)) as i:
                        # The tiles before and behind the plain ones, one after the other.
                        self._tile(row, b.skip(i, row["plain0"], plain), at, masked=True)
                    with b.loop(row["plain1"], row["plain0"]) as i:
                        self._tile(row, i, at, masked=False)
        return b.finish()

    def _tile(
        self, row: dict[str, Value], number: Value, at: Place, *, masked: bool, border: Border | None = None
    ) -> None:
        """Compute one tile for all blocks of filters."""
        b, tile = self.b, self.tile
        self.border = border and BorderLoads(b, border, self.loaded, self.size, self.job["x_width"])
        column = b.smaller(b.mul(number, tile.vectors * tile.lanes), row["ends"])
        x = b.at(at["x"], b.mul(column, tile.stride[1] * self.size))
        out = b.at(at["out"], b.mul(column, tile.spread * b.bytes_of(tile.epilogue.result)))
        sums = self._initial(at["bias"])
        with b.accumulate(row["plane0"], row["plane1"], sums) as over_planes:
            plane = b.at(x, b.entry(self.planes, over_planes.index))
            columns = tile.kernel[1]
            weights = b.at(at["w"], b.mul(over_planes.index, columns * self._column_bytes))
            for rows in self._passes:
                lines = self._lines(row, plane, rows)
                if self.border is not None and self._writes_lines:
                    lines = self.border.written(lines, self.room)
                part = _Pass(rows, lines, weights, row, column, masked)
                if self._unrolls:
                    over_planes.values[:] = self._window(part, over_planes.values)
                    continue
                with b.accumulate(b.constant(0), b.constant(columns), over_planes.values) as state:
                    state.values[:] = self._column(part, state.index, state.values)
                over_planes.values[:] = state.values
        self._store(over_planes.values, out, at["bias"])

    @property
    def _passes(self) -> list[range]:
        """Return the rows of the window that each pass over its columns multiplies."""
        return passes(self.tile.kernel[0], self.tile.at_once)

    @property
    def _unrolls(self) -> bool:
        """Whether the columns of a window are unrolled."""
        tile = self.tile
        return unrolls(tile.kernel, tile.filters * tile.rows * tile.vectors, tile.shuffled)

    @property
    def _is_full(self) -> bool:
        """Whether sums and a line's pixels leave a register for one weight alone, which no product can broadcast."""
        sums, target = self.tile.filters * self.tile.rows * self.tile.vectors, self.target
        return not target.has_masks and sums + self.tile.vectors >= target.vector_registers - 1

    @property
    def _column_bytes(self) -> int:
        return self.tile.kernel[0] * self.tile.filters * self.size

    def _initial(self, bias: Value) -> list[Value]:
        """Return the accumulators, filter by filter, row by row, before the first tap."""
        b, tile = self.b, self.tile
        if not tile.epilogue.bias or tile.exact:
            return [b.zero(self.kind)] * (tile.filters * tile.rows * tile.vectors)
        each = [
            b.splat(b.load(b.at(bias, b.constant(f * self.size)), b.number(tile.dtype)), tile.lanes)
            for f in range(tile.filters)
        ]
        return [value for value in each for _ in range(tile.rows * tile.vectors)]

    def _needed(self, rows: range) -> list[int]:
        """Return the rows of the image that the tile reads for rows of the window, counted from the tile's first."""
        tile = self.tile
        reads = {r * tile.stride[0] + k * tile.row_dilation for r in range(tile.rows) for k in rows}
        return sorted(i for i in reads if tile.lines is None or tile.lines[0] <= i < tile.lines[1])

    def _lines(self, row: dict[str, Value], plane: Value, rows: range) -> dict[int, Value]:
        """Return where each row of the image starts; rows in the padding are zeros that stand elsewhere."""
        b = self.b
        lines = {}
        for i in self._needed(rows):
            line = b.at(plane, b.mul(self.job["x_row"], i))
            if self.tile.moves:
                line = b.at(line, b.entry(b.address(self.job["moved"]), b.add(row["y"], b.constant(i))))
            elif self.tile.lines is None:
                y = b.add(row["y"], b.constant(i))
                line = b.choose(b.inside(y, self.job["height"]), line, self.zeros)
            lines[i] = line
        return lines

    def _column(self, part: _Pass, kx: int | Value, sums: list[Value]) -> list[Value]:
        """Multiply column kx of the window, row of the image by row."""
        b, tile = self.b, self.tile
        number = b.constant(kx) if isinstance(kx, int) else kx
        part = part._replace(weights=b.at(part.weights, b.mul(number, self._column_bytes)))
        step = b.mul(number, self.job["x_tap"])
        start = b.add(part.row["seen"], b.add(b.mul(part.column, tile.stride[1] * self.size), step))
        seen = b.at(self.masks, start) if part.masked else None
        held = self._held(part.weights, 1)
        every = range(tile.vectors)
        # Pixels that were loaded through a mask take a register each: where one is left, one after the other has it.
        vectors = [[v] for v in every] if part.masked and self._is_full else [every]
        # Where they take a register that sums could have, masks are read again for each line.
        kept = self._masks(seen, tile.vectors) if self.target.has_masks else []
        for i, line in part.lines.items():
            for some in vectors:
                pixels = self._under(line, kx, step, kept or self._masks(seen, tile.vectors))
                sums = self._multiplied(i, {v: pixels[v] for v in some}, part, 0, held, sums)
                sums = b.settled(sums, self.target.register)
        return sums

    def _window(self, part: _Pass, sums: list[Value]) -> list[Value]:
        """Multiply the whole window: by rows of the image where its weights stay in registers, else by its columns."""
        b, tile = self.b, self.tile
        held = self._held(part.weights, tile.kernel[1])
        if not tile.shuffled and not held:
            for kx in range(tile.kernel[1]):
                sums = self._column(part, kx, sums)
            return sums
        at = b.add(part.row["seen"], b.mul(part.column, tile.stride[1] * self.size))
        seen = b.at(self.masks, at) if part.masked else None
        masks = self._masks(seen, tile.vectors + (tile.kernel[1] > tile.stride[1])) if tile.shuffled else []
        for i, line in part.lines.items():
            columns = self._shuffled(line, masks) if tile.shuffled else self._loaded(line, seen)
            for kx, pixels in enumerate(columns):
                sums = self._multiplied(i, dict(enumerate(pixels)), part, kx, held, sums)
                sums = b.settled(sums, self.target.register)
        return sums

    def _multiplied(
        self, i: int, pixels: dict[int, Value], part: _Pass, kx: int, held: dict[int, Value], sums: list[Value]
    ) -> list[Value]:
        """Multiply the pixels of row i, by number of vector, by column kx of the window.

        It starts at the pass's weights. Where a register is left for one alone, none is loaded before the products of
        the one before.
        """
        tile, values = self.tile, list(sums)
        pairs = [(r, k, f) for r, k in self._meeting(i, part.rows) for f in range(tile.filters)]
        for r, k, f in pairs:
            place = (kx * tile.kernel[0] + k) * tile.filters + f
            weight = held[place] if held else self._weight(part.weights, place)
            for v, pixel in pixels.items():
                n = (f * tile.rows + r) * tile.vectors + v
                values[n] = self.b.multiply_add(pixel, weight, values[n], self.target.has_fma)
            if self._is_full:
                values = self.b.settled(values, self.target.register)
        return values

    def _weight(self, weights: Value, place: int) -> Value:
        b, tile = self.b, self.tile
        return b.splat(b.load(b.at(weights, b.constant(place * self.size)), b.number(tile.dtype)), tile.lanes)

    def _held(self, weights: Value, columns: int) -> dict[int, Value]:
        """Return the weights of so many columns in registers, where several rows use them and there is room for all."""
        tile = self.tile
        places = range(columns * tile.kernel[0] * tile.filters)
        sums = tile.filters * tile.rows * tile.vectors
        pixels = pixel_vectors(tile.vectors, tile.kernel[1], tile.stride[1], tile.shuffled)
        if not holds(sums, pixels, len(places), tile.rows, self.target.vector_registers):
            return {}
        return {place: self._weight(weights, place) for place in places}

    def _meeting(self, i: int, rows: range) -> list[tuple[int, int]]:
        """Return the rows of the tile whose windows cover row i of the image with one of these rows, and with which."""
        tile = self.tile
        pairs = [(r, *divmod(i - r * tile.stride[0], tile.row_dilation)) for r in range(tile.rows)]
        return [(r, k) for r, k, rest in pairs if not rest and k in rows]

    def _loaded(self, line: Value, seen: Value | None) -> Iterator[list[Value]]:
        """Yield the pixels under each column of the window, each loaded where it lies."""
        b = self.b
        for kx in range(self.tile.kernel[1]):
            step = b.mul(self.job["x_tap"], kx)
            masks = self._masks(None if seen is None else b.at(seen, step), self.tile.vectors)
            yield self._under(line, kx, step, masks)

    def _shuffled(self, line: Value, masks: list[Value | None]) -> Iterator[list[Value]]:
        """Yield the pixels under each column of the window, each loaded once: columns a stride apart share a vector."""
        b, tile = self.b, self.tile
        stride, columns = tile.stride[1], tile.kernel[1]
        if self.border is not None:
            whole = [self.border.load(line, o) for o in self._wide_pixels(len(masks))]
        else:
            whole = [self._load(b.at(line, o), mask) for o, mask in zip(self._wide(len(masks)), masks, strict=True)]
        phases = [[b.every(vector, stride, phase) for vector in whole] for phase in range(min(stride, columns))]
        for kx in range(columns):
            shift, phase = divmod(kx, stride)
            one = phases[phase]
            yield [b.shifted(one[v], one[v + 1], shift) if shift else one[v] for v in range(tile.vectors)]

    def _under(self, line: Value, kx: int | Value, step: Value, masks: list[Value | None]) -> list[Value]:
        """Return the pixels of the tile's vectors of positions under column kx, so many bytes from the first."""
        b, tile, loads = self.b, self.tile, self.border
        if loads is not None and isinstance(kx, int):
            first = kx * loads.border.dilation
            loaded = [loads.load(line, first + o) for o in self._wide_pixels(tile.vectors)]
        else:
            at, offsets = b.at(line, step), self._wide(tile.vectors)
            loaded = [self._load(b.at(at, o), mask) for o, mask in zip(offsets, masks, strict=True)]
        if self.halves:
            picked = in_halves(tile.lanes)
            return [b.picked(first, second, picked) for first, second in zip(loaded[::2], loaded[1::2], strict=True)]
        return [b.every(vector, tile.stride[1]) for vector in loaded]

    @property
    def _writes_lines(self) -> bool:
        """Whether lines at a border are written down before their columns are looped over."""
        return bool(self.tile.borders) and not self._unrolls

    def _wide(self, count: int) -> list[Value]:
        """Return the offsets of what so many vectors of positions step over, of each half if halves stay apart."""
        return [self.b.constant(pixel * self.size) for pixel in self._wide_pixels(count)]

    def _wide_pixels(self, count: int) -> list[int]:
        """Return the same in pixels."""
        lanes, stride = self.tile.lanes, self.tile.stride[1]
        parts = (0, lanes - 1) if self.halves else (0,)  # the second half ends with the last pixel that is wanted
        return [v * lanes * stride + part for v in range(count) for part in parts]

    @property
    def _loaded_lanes(self) -> int:
        return self.tile.lanes if self.halves else self.tile.lanes * self.tile.stride[1]

    def _masks(self, seen: Value | None, count: int) -> list[Value | None]:
        """Return which pixels are there, of so many vectors of positions; None where all are."""
        b, offsets = self.b, self._wide(count)
        if seen is None:
            return [None] * len(offsets)
        kind = b.vector(b.integer(self.size), self._loaded_lanes)
        return [b.negative(b.load(b.at(seen, o), kind)) for o in offsets]

    def _load(self, at: Value, mask: Value | None) -> Value:
        """Return pixels as they lie."""
        b, kind = self.b, self.loaded
        return b.load(at, kind) if mask is None else b.masked_load(at, kind, mask, b.zero(kind))

    def _store(self, sums: list[Value], out: Value, bias: Value) -> None:
        b, tile, job = self.b, self.tile, self.job
        factors = self._factors(b.at(bias, job["scales"]))
        if tile.exact:
            sums = self._whole(sums, bias)
        size = b.bytes_of(tile.epilogue.result)
        values = iter(sums)
        for f in range(tile.filters):
            for r in range(tile.rows):
                line = b.at(out, b.add(b.mul(job["out_filter"], f), b.mul(job["out_row"], r)))
                for v in range(tile.vectors):
                    at = b.at(line, b.constant(v * tile.lanes * tile.spread * size))
                    value = next(values)
                    if self.halves:
                        value = b.picked(value, value, in_order(tile.lanes))
                    value = narrow(b, tile.epilogue, finish(b, self.target, tile.epilogue, value, factors[f]))
                    b.store_apart(value, at, tile.spread, min(tile.lanes, tile.columns - v * tile.lanes))

    def _whole(self, sums: list[Value], bias: Value) -> list[Value]:
        """Return sums in float32 as the integers that they are, with the bias."""
        b, tile = self.b, self.tile
        sums = [b.whole(each) for each in sums]
        if not tile.epilogue.bias:
            return sums
        each = [b.splat(b.load(b.at(bias, b.constant(f * 4)), b.integer(4)), tile.lanes) for f in range(tile.filters)]
        return [b.sum("i4", value, each[n // (tile.rows * tile.vectors)]) for n, value in enumerate(sums)]

    def _factors(self, scales: Value) -> list[Value | None]:
        """Return the factor of each filter in all lanes; None where nothing is requantised."""
        b, tile = self.b, self.tile
        if tile.epilogue.zero_point is None:
            return [None] * tile.filters
        each = [b.load(b.at(scales, b.constant(f * 4)), b.number("f4")) for f in range(tile.filters)]
        return [b.splat(factor, tile.lanes) for factor in each]
