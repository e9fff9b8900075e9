"""The kernel that pools whole images: vectors of a channel's pixels, or a pixel of many channels after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...engine.compiler import Kernel
from ...importing import importing
from .arithmetic import Arithmetic

if TYPE_CHECKING:
    from ...engine.builder import Builder
    from ...engine.numbers import Value
    from ...engine.target import Target
    from ...spec.pool import Reduction

JOB = ["units", "x_image", "x_unit", "out_image", "out_unit", "last", "pixels", "x_pixel", "count"]
"""Words of a job: units of each image, which are channels, or blocks of them; bytes from image to image and from unit
to unit, and where the last one begins; pixels of a channel, and bytes between them; and where the count stands that
sums are divided by."""
TASK = ["first", "stop"]
"""Words of a task: its units, counted through all images."""
TURN = 4
"""Vectors that are joined side by side: as many sums as an addition takes cycles."""
_CHUNK = 64
"""Turns after which sums go on in float64: no sum of float32s has more terms."""


class PoolWhole(NamedTuple):
    """What a kernel is specialised for.

    Parameters
    ----------
    reduction : Reduction
    element : str
    lanes : int
        Of a vector: pixels of a channel, of which there are as many, or channels.
    channels_last : bool
        Whether lanes are channels.
    vectors : int
        Of channels of a unit, `TURN` or 1.
    few : int
        Pixels of a channel, where they are so few that the kernel is made for their number, else 0.
    """

    reduction: Reduction
    element: str
    lanes: int
    channels_last: bool
    vectors: int
    few: int = 0


def pool_whole(spec: PoolWhole) -> Kernel:
    """Return the kernel: ``f(image, room, _, out, job, task)``."""
    return Kernel("pool_whole", _build, (spec,), 6, speed_level=1)


def _build(name: str, target: Target, spec: PoolWhole) -> str:
    with importing:
        from ...engine.builder import Builder

    b = Builder(name, "*image *room *unused *out *job *task", target)
    _Kernel(b, spec).write()
    return b.finish()


class _Kernel(Arithmetic):
    """The kernel as it is written."""

    def __init__(self, b: Builder, spec: PoolWhole) -> None:
        super().__init__(b, spec.reduction, spec.element)
        self.spec = spec
        self.job, self.task = (
            {word: b.entry(b[given], b.constant(i)) for i, word in enumerate(words)}
            for given, words in (("*job", JOB), ("*task", TASK))
        )
        self.kind = b.vector(self.number, spec.lanes)
        self.wide = b.vector(b.number("f8"), spec.lanes) if self.sums else self.kind
        self.nbytes = spec.lanes * self.size

    def write(self) -> None:
        """Write the loop over units."""
        b, job, spec = self.b, self.job, self.spec
        count = None
        if spec.reduction == "mean":
            count = b.splat(b.load(b.address(job["count"]), b.number("f8")), spec.lanes)
        with b.loop(self.task["stop"], self.task["first"]) as unit:
            number = b.quotient(unit, job["units"])
            within = b.sub(unit, b.mul(number, job["units"]))
            x, out = (
                b.at(
                    b.at(b[f"*{array}"], b.mul(number, job[f"{word}_image"])), self._place(within, job[f"{word}_unit"])
                )
                for array, word in (("image", "x"), ("out", "out"))
            )
            if spec.channels_last:
                starts = [b.constant(i * self.nbytes) for i in range(spec.vectors)]
                totals = self._through(x, job["pixels"], job["x_pixel"], starts)
                for start, total in zip(starts, totals, strict=True):
                    b.store(self._finished(total, count), b.at(out, start))
            else:
                total = self._lanes_joined(self._pixels(x))
                divisor = None if count is None else b.picked(count, count, [0])
                b.store(self._finished(total, divisor), out)

    def _place(self, unit: Value, step: Value) -> Value:
        """Return where a unit begins; the last block of channels may overlap the one before it."""
        if not self.spec.channels_last:
            return self.b.mul(unit, step)
        return self.b.smaller(self.b.mul(unit, step), self.job["last"])

    def _few_pixels(self, x: Value) -> Value:
        """Return all pixels of a channel, joined lane by lane in pairs, and pairs of pairs."""
        b, lanes, pixels = self.b, self.spec.lanes, self.spec.few
        values = [self.loaded(b.at(x, b.constant(i * self.nbytes)), lanes) for i in range(pixels // lanes)]
        left = pixels % lanes
        if left:
            last = self.loaded(b.at(x, b.constant((pixels - lanes) * self.element)), lanes)
            # Its first lanes have been there.
            order = [i if i >= lanes - left else lanes for i in range(lanes)]
            values.append(b.picked(last, self.least(self.joined, self.kind), order))
        while len(values) > 1:
            values = [self.join(values[i : i + 2]) for i in range(0, len(values), 2)]
        return values[0]

    def _pixels(self, x: Value) -> Value:
        """Return all pixels of a channel, joined lane by lane."""
        if self.spec.few:
            return self._few_pixels(x)
        b, lanes = self.b, self.spec.lanes
        vectors = b.quotient(self.job["pixels"], lanes)
        turns = b.quotient(vectors, TURN)
        totals = self._through(
            x, turns, b.constant(TURN * self.nbytes), [b.constant(i * self.nbytes) for i in range(TURN)]
        )
        done = b.mul(turns, TURN)
        rest = self._through(
            b.at(x, b.mul(done, self.nbytes)), b.sub(vectors, done), b.constant(self.nbytes), [b.constant(0)]
        )
        # The last vector has those that are left in its last lanes, and others before them.
        left = b.sub(self.job["pixels"], b.mul(vectors, lanes))
        last = self.loaded(b.at(x, b.mul(b.sub(self.job["pixels"], b.constant(lanes)), self.element)), lanes)
        mask = b.lanes_between(b.sub(b.constant(lanes), left), b.constant(lanes), lanes)
        last = b.choose(mask, last, self.least(self.joined, self.kind))
        return self.join([*totals, *rest, b.widened(last) if self.sums else last])

    def _through(self, x: Value, turns: Value, step: Value, starts: list[Value]) -> list[Value]:
        """Return vectors at some starts, each joined with those that follow at a step."""
        b, lanes = self.b, self.spec.lanes
        if not self.sums:
            with b.accumulate(b.constant(0), turns, [self.least(self.joined, self.kind)] * len(starts)) as state:
                at = b.at(x, b.mul(state.index, step))
                vectors = [self.loaded(b.at(at, start), lanes) for start in starts]
                state.values = [self.join([total, v]) for total, v in zip(state.values, vectors, strict=True)]
            return state.values
        chunks = b.quotient(b.add(turns, b.constant(_CHUNK - 1)), _CHUNK)
        with b.accumulate(b.constant(0), chunks, [b.zero(self.wide)] * len(starts)) as whole:
            first = b.mul(whole.index, _CHUNK)
            stop = b.smaller(b.add(first, b.constant(_CHUNK)), turns)
            totals = list(whole.values)
            with b.accumulate(first, stop, [b.zero(self.kind)] * len(starts)) as state:
                at = b.at(x, b.mul(state.index, step))
                vectors = [self.loaded(b.at(at, start), lanes) for start in starts]
                state.values = [self.join([total, v]) for total, v in zip(state.values, vectors, strict=True)]
            whole.values = [b.plus(total, b.widened(v)) for total, v in zip(totals, state.values, strict=True)]
        return whole.values

    def _lanes_joined(self, value: Value) -> Value:
        """Return all lanes of a vector, joined: a vector of one."""
        b = self.b
        while value.type.count > 1:
            half = value.type.count // 2
            value = self.join([b.picked(value, value, list(range(first, first + half))) for first in (0, half)])
        return value

    def _finished(self, total: Value, count: Value | None) -> Value:
        """Return what is written of a total."""
        if not self.sums:
            return self.finished(total, None)
        b = self.b
        divisor = None if count is None else b.rounded_to(count, total.type)
        return b.rounded_to(self.finished(total, divisor), b.vector(self.number, total.type.count))
